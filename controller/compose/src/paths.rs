//! Paths in compose files, made safe: relative to the packed folder, with `/`, without `.` or `..`.

/// Why a path cannot name something that was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// It begins with `/`, or with a drive.
    Absolute,
    /// It begins with `~`.
    Home,
    /// Its `..` lead above the packed folder.
    Above,
    /// It has a character that no path can have, or is longer than paths are.
    Invalid,
}

/// Longest path, bytes: Linux's own limit.
const MAX_PATH: usize = 4096;
/// First part of the app's own path of something beside its project folder.
const ABOVE: &str = ".above";

impl Outside {
    /// What is wrong with a path whose content would have to be packed, and what to do.
    pub(crate) fn explain(self) -> (&'static str, &'static str) {
        match self {
            Self::Absolute => {
                ("is a path of one machine, and cannot be packed", "move it into the project folder")
            }
            Self::Home => ("is in the home folder of one machine", "move it into the project folder"),
            Self::Above => (
                "leaves the folder that was packed",
                "move it into the project folder, or pack from a folder above that holds both",
            ),
            Self::Invalid => ("is no path", "paths have at most 4096 bytes and no control characters"),
        }
    }
}

/// Whether a text names a place on the host rather than something beside the file.
pub(crate) fn is_absolute(text: &str) -> bool {
    text.starts_with('/')
}

/// Whether a text is a path, not a name: Compose's own rule for the source of a volume.
pub(crate) fn is_path(text: &str) -> bool {
    text.starts_with(['/', '.', '~'])
}

/// Resolves a path that was written relative to `base`, which is itself relative to the packed folder.
pub(crate) fn resolve(base: &str, text: &str) -> Result<String, Outside> {
    if text.len() > MAX_PATH || text.chars().any(char::is_control) {
        return Err(Outside::Invalid);
    }
    if is_absolute(text) || text.contains('\\') {
        return Err(Outside::Absolute);
    }
    if text == "~" || text.starts_with("~/") {
        return Err(Outside::Home);
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Outside::Above)?;
            }
            name => parts.push(name),
        }
    }
    Ok(parts.join("/"))
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The path that something keeps on every host, wherever the client packed from: relative to the project
/// folder `project`; what lies beside that goes to a folder of its own, named for how far up it is.
pub(crate) fn in_app(project: &str, path: &str) -> String {
    let own: Vec<&str> = project.split('/').filter(|part| !part.is_empty()).collect();
    let all: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let shared = own.iter().zip(&all).take_while(|(a, b)| a == b).count();
    let up = own.len() - shared;
    let rest = all[shared..].join("/");
    match (up, rest.is_empty()) {
        (0, _) => rest,
        (_, true) => format!("{ABOVE}/{up}"),
        (_, false) => format!("{ABOVE}/{up}/{rest}"),
    }
}

/// The same path as it is written in a compose file in the project folder.
pub(crate) fn written(in_app: &str) -> String {
    if let Some(rest) = in_app.strip_prefix(ABOVE).and_then(|rest| rest.strip_prefix('/')) {
        let (up, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if let Ok(up) = up.parse::<usize>() {
            let dots = vec![".."; up.min(MAX_PATH / 3)].join("/");
            return if rest.is_empty() { dots } else { format!("{dots}/{rest}") };
        }
    }
    if in_app.is_empty() { ".".to_owned() } else { format!("./{in_app}") }
}

/// The packed path of the app's own path of something, the other way round than [`in_app`].
pub(crate) fn packed(project: &str, in_app: &str) -> Option<String> {
    resolve(project, &written(in_app)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_resolve_from_the_file_they_stand_in() {
        assert_eq!(resolve("a/b", "./c/../d").as_deref(), Ok("a/b/d"));
        assert_eq!(resolve("a/b", "../..").as_deref(), Ok(""));
        assert_eq!(resolve("", ".").as_deref(), Ok(""));
        assert_eq!(resolve("a", "../../x"), Err(Outside::Above));
        assert_eq!(resolve("", "/etc/x"), Err(Outside::Absolute));
        assert_eq!(resolve("", "C:\\x"), Err(Outside::Absolute));
        assert_eq!(resolve("", "~/x"), Err(Outside::Home));
        assert_eq!(resolve("", "a\0b"), Err(Outside::Invalid));
    }

    #[test]
    fn the_apps_own_path_does_not_depend_on_where_was_packed_from() {
        for (project, path, expected, back) in [
            ("", "data", "data", "./data"),
            ("p", "p/data", "data", "./data"),
            ("p", "p", "", "."),
            ("x/p", "x/q/f", ".above/1/q/f", "../q/f"),
            ("x/p", "alerts/f", ".above/2/alerts/f", "../../alerts/f"),
            ("x/p", "", ".above/2", "../.."),
        ] {
            assert_eq!(in_app(project, path), expected);
            assert_eq!(written(expected), back);
            assert_eq!(packed(project, expected).as_deref(), Some(path));
        }
    }
}
