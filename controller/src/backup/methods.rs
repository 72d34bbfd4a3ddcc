//! How the data of a service is taken when its file does not say: by what the catalogue knows of its component, else by the
//! name of its image.

use omni_catalogue::{Component, Method, Quiesce};
use omni_common::domain::app::Service;
use omni_common::domain::backup::TakeMethod;

/// In a command of the catalogue, the file that it writes or reads.
const FILE: &str = "<file>";

/// How the data of a service is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) method: TakeMethod,
    /// Of a database: which; empty for all.
    pub(super) databases: Vec<String>,
    /// What is done to the service while its files are read.
    pub(super) quiesce: Quiesce,
    /// Of a command: writes the data to its output.
    pub(super) save: Vec<String>,
    /// Of a command: reads it from its input.
    pub(super) load: Vec<String>,
    /// Only what is mounted at or below these paths is data; absent for everything.
    pub(super) paths: Option<Vec<String>>,
}

impl Way {
    fn plain(method: TakeMethod) -> Self {
        let (databases, save, load) = (Vec::new(), Vec::new(), Vec::new());
        Self { method, databases, quiesce: Quiesce::None, save, load, paths: None }
    }
}

/// How the data of a service is taken.
pub(super) fn way(service: &Service, known: Option<&Component>) -> Way {
    match known {
        Some(component) => of_component(component),
        None => Way::plain(by_image(service.image.as_deref().unwrap_or_default())),
    }
}

fn of_component(component: &Component) -> Way {
    let backup = &component.backup;
    // Databases that another component serves are in that one's dump, wherever it runs; here are only files.
    let elsewhere = backup.server.as_ref().is_some_and(|server| *server != component.name);
    let databases = match backup.databases.iter().any(|database| database == "*") {
        true => Vec::new(),
        false => backup.databases.clone(),
    };
    let way = |method| Way { quiesce: backup.quiesce, ..Way::plain(method) };
    match backup.method {
        Method::None | Method::Shared => way(TakeMethod::None),
        Method::Postgres if !elsewhere => Way { databases, ..way(TakeMethod::Postgres) },
        Method::Mariadb if !elsewhere => Way { databases, ..way(TakeMethod::Mariadb) },
        Method::Redis => way(TakeMethod::Redis),
        Method::Command => Way {
            save: with_file(&backup.command, "\"$@\" >&2 && cat \"$file\""),
            load: with_file(&backup.load, "cat >\"$file\" && \"$@\" >&2"),
            paths: Some(backup.paths.clone()),
            ..way(TakeMethod::Command)
        },
        // What the product would write by itself needs credentials or tools that its image does not have. Its files are good
        // when nothing changes while they are read.
        Method::Sqlite
        | Method::Qdrant
        | Method::Clickhouse
        | Method::Prometheus
        | Method::Openbao
        | Method::N8n
            if backup.quiesce == Quiesce::None =>
        {
            Way { quiesce: Quiesce::Pause, ..way(TakeMethod::Volume) }
        }
        _ => way(TakeMethod::Volume),
    }
}

/// A command that writes or reads a file, as one that uses its output or input. The file is in a folder that only it can
/// enter, and goes with it. Empty stays empty.
fn with_file(command: &[String], use_file: &str) -> Vec<String> {
    if !command.iter().any(|word| word == FILE) {
        return command.to_vec();
    }
    let script = format!(
        "folder=$(mktemp -d) || exit 1; trap 'rm -rf \"$folder\"' EXIT; file=$folder/data; left=$#; \
         while [ \"$left\" -gt 0 ]; do word=$1; shift; [ \"$word\" != '{FILE}' ] || word=$file; \
         set -- \"$@\" \"$word\"; left=$((left - 1)); done; {use_file}"
    );
    let words = ["sh".to_owned(), "-c".to_owned(), script, "omni".to_owned()];
    words.into_iter().chain(command.iter().cloned()).collect()
}

/// By the last part of the repository's name: `docker.io/library/postgres:16` is `postgres`.
fn by_image(image: &str) -> TakeMethod {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split(':').next().unwrap_or_default() {
        "postgres" | "postgresql" => TakeMethod::Postgres,
        "mariadb" | "mysql" => TakeMethod::Mariadb,
        "redis" | "valkey" => TakeMethod::Redis,
        _ => TakeMethod::Volume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_catalogue::Catalogue;
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    /// Every component with data: method, what is done meanwhile, and what it is that is taken otherwise than by files.
    #[test]
    fn each_component_of_the_catalogue_is_taken_in_a_way_that_is_known() {
        let catalogue = Catalogue::builtin();
        let lines = catalogue.components().filter_map(|component| {
            let way = of_component(component);
            let method = serde_json::to_string(&way.method).expect("a word");
            let said = serde_json::to_string(&component.backup.method).expect("a word");
            (way.method != TakeMethod::None).then(|| {
                let (method, said) = (method.trim_matches('"'), said.trim_matches('"'));
                let meanwhile = format!("{:?}", way.quiesce).to_lowercase();
                format!("{}: {said} by {method}, {meanwhile} {}\n", component.name, way.databases.join(" "))
            })
        });
        insta::assert_snapshot!(lines.collect::<String>());
    }

    fn run(words: &[String], input: &[u8]) -> Output {
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        child.stdin.take().expect("piped").write_all(input).ok();
        child.wait_with_output().expect("it ends")
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    /// What the product's command prints is no data, its file is removed, and its failure is a failure.
    #[test]
    fn a_command_with_a_file_becomes_one_with_a_stream() {
        let export = words(&["sh", "-c", "echo chatter; printf 'a b\\n%s' \"$0\" >\"$1\"", "it's", FILE]);
        let save = with_file(&export, "\"$@\" >&2 && cat \"$file\"");
        let saved = run(&save, b"");
        assert!(saved.status.success(), "{saved:?}");
        assert_eq!(
            (saved.stdout.as_slice(), saved.stderr.as_slice()),
            (&b"a b\nit's"[..], &b"chatter\n"[..])
        );
        let import = words(&["sh", "-c", "cat \"$0\"; echo \"$0\"", FILE]);
        let loaded = run(&with_file(&import, "cat >\"$file\" && \"$@\" >&2"), b"a b\n");
        let told = String::from_utf8(loaded.stderr).expect("text");
        let (data, path) = told.split_once('\n').expect("two lines");
        assert_eq!((data, loaded.stdout.len()), ("a b", 0));
        assert!(path.trim().ends_with("/data") && !std::path::Path::new(path.trim()).exists(), "{path}");
        let failing = with_file(&words(&["false", FILE]), "\"$@\" >&2 && cat \"$file\"");
        assert!(!run(&failing, b"").status.success());
        assert_eq!(with_file(&words(&["plain"]), "x"), ["plain"]);
    }

    #[test]
    fn databases_of_another_component_are_not_dumped_here() {
        let catalogue = Catalogue::builtin();
        let way = |name| of_component(catalogue.get(name).expect(name));
        assert_eq!(way("postgresql").method, TakeMethod::Postgres);
        assert_eq!(way("litellm").method, TakeMethod::Volume, "its database lies with postgresql");
        assert_eq!(way("postal-web").method, TakeMethod::Volume);
        assert_eq!((way("gitea").method, way("gitea").quiesce), (TakeMethod::Volume, Quiesce::Stop));
        assert_eq!(way("qdrant").quiesce, Quiesce::Pause);
        assert_eq!(way("caddy").quiesce, Quiesce::None);
        let rabbit = way("plane-mq");
        assert_eq!((rabbit.method, rabbit.paths), (TakeMethod::Command, Some(Vec::new())));
        assert!(!rabbit.save.is_empty() && !rabbit.load.is_empty());
    }
}
