//! Which compose files are meant, by Compose's own rules.

use std::io;
use std::path::{Path, PathBuf};

/// Names that Compose looks for, in its order.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of overrides that Compose looks for beside them, in its order.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];
/// Most compose files in one project, as the controller reads them.
const MAX_FILES: usize = 32;

/// Compose files that cannot be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// There is none here, nor in a folder above.
    #[error("there is no compose file in {} nor in a folder above it; name one, or write {}", .0.display(), NAMES[0])]
    NoneHere(PathBuf),
    /// There is none in the folder that was named.
    #[error("there is no compose file in {}; it would be called {}", .0.display(), NAMES.join(" or "))]
    NoneIn(PathBuf),
    /// There is nothing at a path.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// What is there is no file.
    #[error("{} is neither a file nor a folder", .0.display())]
    NoFile(PathBuf),
    /// It cannot be looked at.
    #[error("cannot look at {}", .0.display())]
    Look(PathBuf, #[source] io::Error),
    /// Standard input has no folder that other files could be beside.
    #[error(
        "a compose file cannot be read from standard input: other files are found beside it; write it to a file"
    )]
    Stdin,
    /// Too many.
    #[error("{0} compose files are more than the {MAX_FILES} that are read")]
    TooMany(usize),
}

/// Compose files, and what to know about how they were chosen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The files; later ones go over earlier ones.
    pub files: Vec<PathBuf>,
    /// Files that were passed over, for a person.
    pub remarks: Vec<String>,
}

/// What was typed, or what lies in `folder` or above it. `variable` is COMPOSE_FILE, which counts when nothing is typed.
pub(crate) fn find(typed: &[PathBuf], variable: Option<&str>, folder: &Path) -> Result<Found, FindError> {
    let mut found = Found::default();
    match (typed, variable.filter(|list| !list.is_empty())) {
        ([], None) => above(folder, &mut found)?,
        ([], Some(list)) => {
            for part in list.split(':').filter(|part| !part.is_empty()) {
                named(&folder.join(part), &mut found)?;
            }
        }
        (typed, _) => {
            for path in typed {
                named(&folder.join(path), &mut found)?;
            }
        }
    }
    if found.files.len() > MAX_FILES {
        return Err(FindError::TooMany(found.files.len()));
    }
    Ok(found)
}

fn above(folder: &Path, found: &mut Found) -> Result<(), FindError> {
    for candidate in folder.ancestors() {
        if within(candidate, found) {
            let env = candidate.join(".env");
            // Where there is no such file, there is nothing to say about it.
            let text = std::fs::read_to_string(&env).unwrap_or_default();
            if text.lines().any(|line| line.trim_start().starts_with("COMPOSE_FILE=")) {
                let remark =
                    format!("COMPOSE_FILE in {} is not honoured; name the files with `-f`", env.display());
                found.remarks.push(remark);
            }
            return Ok(());
        }
    }
    Err(FindError::NoneHere(folder.to_owned()))
}

fn named(path: &Path, found: &mut Found) -> Result<(), FindError> {
    if path.ends_with("-") {
        return Err(FindError::Stdin);
    }
    let kind = match path.metadata() {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FindError::Missing(path.to_owned()));
        }
        Err(error) => return Err(FindError::Look(path.to_owned(), error)),
    };
    if kind.is_file() {
        found.files.push(path.to_owned());
        Ok(())
    } else if !kind.is_dir() {
        Err(FindError::NoFile(path.to_owned()))
    } else if within(path, found) {
        Ok(())
    } else {
        Err(FindError::NoneIn(path.to_owned()))
    }
}

/// Takes the compose file of a folder and its override, if it has one.
fn within(folder: &Path, found: &mut Found) -> bool {
    let there = |names: &[&'static str]| {
        let paths = names.iter().map(|name| folder.join(name));
        paths.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let files = there(&NAMES);
    let Some(first) = files.first() else { return false };
    for passed in &files[1..] {
        found.remarks.push(format!("{} is not read: {} goes before it", passed.display(), first.display()));
    }
    found.files.push(first.clone());
    let overrides = there(&OVERRIDES);
    found.files.extend(overrides.first().cloned());
    for passed in overrides.iter().skip(1) {
        found.remarks.push(format!(
            "{} is not read: {} goes before it",
            passed.display(),
            overrides[0].display()
        ));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        folder
    }

    fn names(typed: &[&str], variable: Option<&str>, folder: &Path) -> Result<Vec<String>, String> {
        let typed: Vec<PathBuf> = typed.iter().map(PathBuf::from).collect();
        let root = folder.ancestors().find(|path| path.join("root").is_file()).unwrap_or(folder);
        let found = find(&typed, variable, folder).map_err(|error| error.to_string())?;
        let relative = |path: &PathBuf| path.strip_prefix(root).expect("inside").display().to_string();
        Ok(found.files.iter().map(relative).collect())
    }

    #[test]
    fn the_folders_own_files_are_found_as_compose_finds_them() {
        let here = folder(&["root", "docker-compose.yml", "docker-compose.override.yml", "deep/er/x"]);
        let own = Ok(vec!["docker-compose.yml".to_owned(), "docker-compose.override.yml".to_owned()]);
        assert_eq!(names(&[], None, here.path()), own);
        assert_eq!(names(&[], None, &here.path().join("deep/er")), own, "from a folder below");
        assert_eq!(names(&["."], None, here.path()).map(|names| names.len()), Ok(2));
    }

    #[test]
    fn what_is_passed_over_is_said() {
        let here = folder(&["compose.yaml", "docker-compose.yml"]);
        let found = find(&[], None, here.path()).expect("two to choose from");
        assert_eq!(found.files, [here.path().join("compose.yaml")]);
        let [remark] = found.remarks.as_slice() else { panic!("{found:?}") };
        assert!(remark.contains("docker-compose.yml is not read"), "{remark}");
    }

    #[test]
    fn a_list_of_files_that_is_not_read_is_told() {
        let here = folder(&["compose.yaml"]);
        std::fs::write(here.path().join(".env"), "A=1\nCOMPOSE_FILE=a.yml:b.yml\n").expect("written");
        let found = find(&[], None, here.path()).expect("the folder's own");
        assert!(found.remarks[0].contains("COMPOSE_FILE"), "{found:?}");
    }

    #[test]
    fn typed_files_beat_the_variable_and_that_beats_the_search() {
        let here = folder(&["root", "compose.yaml", "a.yml", "b.yml"]);
        let list = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(names(&["b.yml", "a.yml"], Some("x.yml"), here.path()), list(&["b.yml", "a.yml"]));
        assert_eq!(names(&[], Some("a.yml:b.yml"), here.path()), list(&["a.yml", "b.yml"]));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let here = folder(&["sub/x"]);
        let told = |typed: &[&str]| names(typed, None, here.path()).expect_err("nothing there");
        assert!(told(&["nope.yml"]).contains("there is no file"), "{}", told(&["nope.yml"]));
        assert!(told(&["sub"]).contains("would be called compose.yaml"), "{}", told(&["sub"]));
        assert!(told(&["-"]).contains("standard input"), "{}", told(&["-"]));
        assert!(told(&["/dev/null"]).contains("neither a file"), "{}", told(&["/dev/null"]));
    }
}
