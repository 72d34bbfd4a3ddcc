use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A folder `shop` with these files, inside of a folder that is removed afterwards.
struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(tree.path("shop")).expect("made");
        files.iter().for_each(|(name, text)| tree.write(name, text.as_bytes()));
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    fn packer(&self) -> Packer {
        Packer::new(&[self.path("shop/compose.yaml")], None).expect("it can be packed")
    }
}

fn needed(path: &str, kind: &str) -> NeededFile {
    NeededFile { path: path.to_owned(), kind: kind.to_owned(), optional: false, writable: false }
}

fn names(packer: &Packer) -> Vec<String> {
    packer.project(|_| None).files.into_keys().collect()
}

fn refused(packer: &mut Packer, file: NeededFile) -> String {
    packer.take(&[file]).expect_err("it cannot be packed").to_string()
}

#[test]
fn the_compose_files_and_their_env_come_first_under_the_folders_name() {
    let tree = Tree::new(&[("shop/compose.yaml", "services: {}"), ("shop/.env", "A=1"), ("shop/x.yml", "")]);
    let files = [tree.path("shop/compose.yaml"), tree.path("shop/x.yml")];
    let packer = Packer::new(&files, None).expect("it can be packed");
    let project = packer.project(|_| None);
    assert_eq!(project.compose, ["shop/compose.yaml", "shop/x.yml"]);
    assert_eq!(names(&packer), ["shop/.env", "shop/compose.yaml", "shop/x.yml"]);
    assert_eq!(project.files["shop/.env"].content, "QT0x");
}

#[test]
fn only_variables_that_are_mentioned_leave_the_shell() {
    let tree = Tree::new(&[("shop/compose.yaml", "image: web:${TAG}"), ("shop/.env", "B=$HOST_NAME")]);
    let mut packer = tree.packer();
    let shell = |name: &str| match name {
        "EMPTY" => Some(String::new()),
        "UNSET" => None,
        name => Some(format!("value of {name}")),
    };
    let sent = |packer: &Packer| packer.project(shell).variables.into_keys().collect::<BTreeSet<_>>();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let compose = ["COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "HOST_NAME", "TAG"];
    assert_eq!(sent(&packer), set(&compose));

    tree.write("shop/more.yml", b"x: $EMPTY $UNSET");
    tree.write("shop/app.conf", b"$NOT_OURS");
    packer.take(&[needed("shop/more.yml", "compose_file"), needed("shop/app.conf", "mount")]).expect("there");
    assert_eq!(sent(&packer), &set(&compose) | &set(&["EMPTY"]), "what is only mounted is not read");
    assert_eq!(packer.project(shell).variables["EMPTY"], "");
}

#[test]
fn small_files_and_folders_travel_and_data_stays() {
    let tree = Tree::new(&[
        ("shop/compose.yaml", ""),
        ("shop/nginx.conf", "x"),
        ("shop/conf.d/a.conf", "a"),
        ("shop/conf.d/deep/b.conf", "b"),
        ("shop/data/rows", "1"),
    ]);
    fs::set_permissions(tree.path("shop/nginx.conf"), fs::Permissions::from_mode(0o600)).expect("set");
    let mut packer = tree.packer();
    let files = [
        needed("shop/nginx.conf", "mount"),
        needed("shop/conf.d", "mount"),
        NeededFile { writable: true, ..needed("shop/data", "mount") },
        needed("shop/not-there", "mount"),
        NeededFile { optional: true, ..needed("shop/maybe.env", "variables") },
    ];
    assert!(packer.take(&files).expect("all can be packed or left"));
    assert_eq!(
        names(&packer),
        ["shop/compose.yaml", "shop/conf.d/a.conf", "shop/conf.d/deep/b.conf", "shop/nginx.conf"]
    );
    let project = packer.project(|_| None);
    assert_eq!(project.files["shop/nginx.conf"].mode, 0o600);
    assert_eq!(project.left_out, ["shop/data", "shop/not-there", "shop/maybe.env"]);
    assert!(packer.take_remarks().is_empty());
    assert!(!packer.take(&files).expect("nothing new"), "what was settled is not looked at again");
}

#[test]
fn a_large_folder_is_left_out_and_that_is_said() {
    let tree = Tree::new(&[("shop/compose.yaml", "")]);
    tree.write("shop/big/blob", &vec![0; 300 << 10]);
    (0..300).for_each(|number| tree.write(&format!("shop/many/{number}"), b""));
    let mut packer = tree.packer();
    packer.take(&[needed("shop/big", "mount"), needed("shop/many", "mount")]).expect("left out");
    let remarks = packer.take_remarks();
    assert!(remarks[0].contains("more than 256K"), "{remarks:?}");
    assert!(remarks[1].contains("more than 256 files"), "{remarks:?}");
    assert_eq!(packer.project(|_| None).left_out, ["shop/big", "shop/many"]);
}

#[test]
fn all_together_is_bounded_and_the_largest_are_named() {
    let tree = Tree::new(&[("shop/compose.yaml", "")]);
    tree.write("shop/model.bin", &vec![0; 900 << 10]);
    tree.write("shop/second.bin", &vec![0; 200 << 10]);
    let mut packer = tree.packer();
    packer.take(&[needed("shop/model.bin", "mount")]).expect("still room");
    let told = refused(&mut packer, needed("shop/second.bin", "content"));
    assert!(told.contains("more than 1.0M"), "{told}");
    assert!(told.contains("shop/model.bin (900K), shop/second.bin (200K)"), "{told}");
}

#[test]
fn nothing_outside_of_the_root_is_read() {
    let tree = Tree::new(&[("shop/compose.yaml", ""), ("alerts/rules.yml", "r"), ("shop/in", "i")]);
    symlink(tree.path("alerts/rules.yml"), tree.path("shop/link")).expect("linked");
    symlink(tree.path("shop/in"), tree.path("shop/inner-link")).expect("linked");
    let mut packer = tree.packer();
    for path in ["alerts/rules.yml", "shop/../alerts/rules.yml", "/etc/passwd", "shopping/x"] {
        let told = refused(&mut packer, needed(path, "mount"));
        assert!(told.contains("outside of") && told.contains("--root"), "{path}: {told}");
    }
    assert!(refused(&mut packer, needed("shop/link", "content")).contains("symbolic link out of"));
    packer.take(&[needed("shop/inner-link", "content")]).expect("it stays inside");
    assert_eq!(packer.project(|_| None).files["shop/inner-link"].content, "aQ==");
}

#[test]
fn a_wider_root_lets_files_beside_the_project_travel() {
    let tree = Tree::new(&[("shop/compose.yaml", ""), ("alerts/rules.yml", "r")]);
    let root = tree.path(".");
    let mut packer = Packer::new(&[tree.path("shop/compose.yaml")], Some(&root)).expect("inside");
    let (_, prefix) = packer.root();
    let prefix = prefix.to_owned();
    packer.take(&[needed(&format!("{prefix}/alerts"), "mount")]).expect("inside");
    let all = [format!("{prefix}/alerts/rules.yml"), format!("{prefix}/shop/compose.yaml")];
    assert_eq!(names(&packer), all);
    let narrow = tree.path("alerts");
    let error = Packer::new(&[tree.path("shop/compose.yaml")], Some(&narrow)).expect_err("outside");
    assert!(matches!(error, PackError::Outside { .. }), "{error}");
}

#[test]
fn what_has_to_be_there_is_asked_for_by_name() {
    let tree = Tree::new(&[("shop/compose.yaml", ""), ("shop/folder/x", "")]);
    let mut packer = tree.packer();
    assert!(refused(&mut packer, needed("shop/key", "content")).ends_with("shop/key, which is not there"));
    assert!(refused(&mut packer, needed("shop/folder", "variables")).ends_with("as a file, and it is none"));
    let error = Packer::new(&[tree.path("shop/none.yaml")], None).expect_err("not there");
    assert!(matches!(error, PackError::Missing(_)), "{error}");
}
