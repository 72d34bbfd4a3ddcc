//! Which mounts are file systems that can fill up. Pure.
//!
//! Kept: file systems on block devices, ZFS, network mounts. Left out: the kernel's own, memory-backed ones,
//! overlays of containers, loop-mounted images, automount points that a look would trigger. A device that
//! is mounted in several places (bind mounts, subvolumes) is reported once: all its mounts carry one device
//! number, which is also what tells two FUSE mounts of one program apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Network and virtual-machine file systems. A dead server makes them hang, so they are asked with care.
const REMOTE: [&str; 14] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "9p",
    "virtiofs",
    "beegfs",
    "gpfs",
    "ocfs2",
];
/// Images that are full by design.
const IMAGES: [&str; 4] = ["squashfs", "erofs", "iso9660", "cramfs"];
/// FUSE file systems that hold no data of their own.
const FUSE_VIEWS: [&str; 3] = ["fuse.lxcfs", "fuse.portal", "fuse.gvfsd-fuse"];

/// A mount worth reporting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: String,
    pub(super) device: String,
    pub(super) kind: String,
    /// Asking it may hang.
    pub(super) remote: bool,
    /// The whole file system is mounted, not a folder of it.
    whole: bool,
}

/// Reads a `mountinfo` table: one mount for each file system, sorted by mount point.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    let mut by_number = BTreeMap::<&str, Mount>::new();
    for (number, mount) in text.lines().filter_map(parse_line) {
        match by_number.get(number) {
            Some(known) if rank(known) <= rank(&mount) => {}
            _ => {
                by_number.insert(number, mount);
            }
        }
    }
    let mut mounts: Vec<Mount> = by_number.into_values().collect();
    mounts.sort_by(|a, b| a.point.cmp(&b.point));
    mounts
}

/// The mount that a person would name a device by comes first: whole, short, early in the alphabet.
fn rank(mount: &Mount) -> (bool, usize, &str) {
    (!mount.whole, mount.point.len(), &mount.point)
}

/// `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw`: device number and mount.
fn parse_line(line: &str) -> Option<(&str, Mount)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (number, root, point) = (left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, device) = (right.next()?, right.next()?);
    let remote = is_remote(kind);
    let kept = !IMAGES.contains(&kind) && (remote || is_local(kind, device));
    kept.then(|| {
        let mount = Mount {
            point: unescape(point).into_owned(),
            device: unescape(device).into_owned(),
            kind: kind.to_owned(),
            remote,
            whole: root == "/",
        };
        (number, mount)
    })
}

fn is_remote(kind: &str) -> bool {
    let fuse = kind == "fuseblk" || kind.starts_with("fuse.");
    REMOTE.contains(&kind) || (fuse && !FUSE_VIEWS.contains(&kind))
}

fn is_local(kind: &str, device: &str) -> bool {
    kind == "zfs" || (device.starts_with("/dev/") && !device.starts_with("/dev/loop"))
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(byte) => {
                plain.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                plain.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = r"22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
28 27 254:0 /var/lib/docker /mnt rw,relatime shared:1 - ext4 /dev/vda1 rw
29 27 0:40 / /var/lib/docker/overlay2/ab/merged rw - overlay overlay rw,lowerdir=/x
30 27 7:0 / /snap/core rw - squashfs /dev/loop0 ro
31 27 7:1 / /loop rw - ext4 /dev/loop1 rw
32 27 8:1 / /data\040disk rw,noatime master:4 propagate_from:2 - xfs /dev/sdb1 rw
33 27 0:50 / /backup rw - nfs4 nas.local:/export/backup rw,vers=4.2
34 27 0:51 / /home/auto rw - autofs systemd-1 rw
35 27 0:52 / /tank rw - zfs tank rw
36 27 0:53 /@ /btrfs-long rw - btrfs /dev/sdc rw
37 27 0:53 /@snap /btrfs rw - btrfs /dev/sdc rw
38 27 0:55 / /s3 rw - fuse.s3fs s3fs rw
41 27 0:58 / /s3-too rw - fuse.s3fs s3fs rw
39 27 0:56 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw
40 27 0:57 / /run rw - tmpfs tmpfs rw
";

    #[test]
    fn file_systems_that_can_fill_up_remain_once_each() {
        let shown: Vec<(String, bool)> = parse(TABLE).into_iter().map(|m| (m.point, m.remote)).collect();
        let expected = [
            ("/", false),
            ("/backup", true),
            ("/btrfs", false),
            ("/data disk", false),
            ("/s3", true),
            ("/s3-too", true),
            ("/tank", false),
        ];
        assert_eq!(shown, expected.map(|(point, remote)| (point.to_owned(), remote)));
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape(r"a\040b\134c\9\"), r"a b\c\9\");
    }

    proptest! {
        #[test]
        fn no_table_makes_the_parser_panic(text in "[ /\\\\a-z0-9\\-\\n]{0,300}") {
            let _ = parse(&text);
            let _ = unescape(&text);
        }
    }
}
