//! Puts the built dashboard into the program. Without a build (a clean clone, a machine without Node) the list is
//! empty, and the controller serves a page that says how to make one: docs/adr/0015-dashboard.md.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/web/dist");
    println!("cargo::rerun-if-changed={}", built.display());
    let mut files = Vec::new();
    if built.join("index.html").is_file() {
        list(&built, &mut files)?;
        files.sort();
    }
    let mut code = String::from(
        "/// Name and bytes of each file of the dashboard.\npub(super) const FILES: &[(&str, &[u8])] = &[\n",
    );
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("a file's name is not UTF-8")?;
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", fs::canonicalize(file)?)?;
    }
    code.push_str("];\n");
    #[expect(clippy::disallowed_methods, reason = "cargo talks to build scripts through the environment")]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(out.join("web.rs"), code)?;
    Ok(())
}

/// The page and what it loads; names are unique, because the builder puts a digest into each.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.file_name().is_some_and(|name| name != ".gitignore") {
            files.push(path);
        }
    }
    Ok(())
}
