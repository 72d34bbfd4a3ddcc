//! The catalogue: made from files, checked as a whole, asked by name or number.

use crate::error::{Error, Problem, Problems, Result, hint};
use crate::load::{self, Source};
use crate::system::SystemFile;
use crate::{Component, ComponentName, System, builtin, check};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Every component of the platform. One that exists has been checked.
#[derive(Clone, Debug)]
pub struct Catalogue {
    systems: BTreeMap<u16, System>,
    entries: BTreeMap<ComponentName, Entry>,
    /// The components of each system in the order of its file.
    members: BTreeMap<u16, Vec<ComponentName>>,
}

/// A component and where it was written down.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The component.
    pub component: Component,
    /// The number of its system.
    pub system: u16,
    /// The file that describes it.
    pub file: Arc<str>,
    /// Its first line there.
    pub line: u64,
    layer: Layer,
}

/// Who wrote a file. A later layer replaces components of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Builtin,
    Operator,
}

impl Catalogue {
    /// What comes with omni.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    /// What comes with omni, and on top of it the `.yaml` files of a folder: a component of a new name is
    /// added, one of a built-in name replaces that one as a whole.
    pub fn with_folder(folder: impl AsRef<Path>) -> Result<Self> {
        Self::builtin().extended(Layer::Operator, &load::read_folder(folder.as_ref())?)
    }

    fn empty() -> Self {
        Self { systems: BTreeMap::new(), entries: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// This catalogue with a layer on top, checked as a whole.
    fn extended(self, layer: Layer, sources: &[Source]) -> Result<Self> {
        let mut draft = self;
        let mut problems = Vec::new();
        for source in sources {
            match load::parse::<SystemFile>(source) {
                Ok(file) => draft.add(layer, &source.file, file, &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
        // References are looked at only when every file could be read: a file that could not would make
        // each mention of its components a second error.
        if problems.is_empty() {
            check::check(&draft, &mut problems);
        }
        if problems.is_empty() { Ok(draft) } else { Err(Error::Invalid(Problems(problems))) }
    }

    fn add(&mut self, layer: Layer, file: &Arc<str>, parsed: SystemFile, problems: &mut Vec<Problem>) {
        let number = parsed.system.value;
        let line = parsed.system.referenced.line();
        let mut problem = |line, component: Option<&ComponentName>, key: &str, what: String| {
            problems.push(Problem {
                file: file.to_string(),
                line,
                component: component.map(ToString::to_string),
                key: Some(key.to_owned()),
                what,
            });
        };
        match self.systems.get_mut(&number) {
            Some(known) => {
                known.name = parsed.name.unwrap_or_else(|| known.name.clone());
                known.codename = parsed.codename.or_else(|| known.codename.clone());
                known.tier = parsed.tier.unwrap_or(known.tier);
                known.summary = parsed.summary.unwrap_or_else(|| known.summary.clone());
                known.extends.extend(parsed.extends);
                known.reuses.extend(parsed.reuses);
            }
            None if number == 0 || number > 999 => {
                let what = format!("{number} is not a system number: 1 to 999, your own from 100 on");
                return problem(line, None, "system", what);
            }
            None => {
                let (Some(name), Some(tier), Some(summary)) = (parsed.name, parsed.tier, parsed.summary)
                else {
                    let what = format!("system {number} is new: give it `name`, `tier` and `summary`");
                    return problem(line, None, "system", what);
                };
                let (codename, extends, reuses) = (parsed.codename, parsed.extends, parsed.reuses);
                self.systems
                    .insert(number, System { number, name, codename, tier, summary, extends, reuses });
            }
        }
        for spanned in parsed.components {
            let (component, line) = (spanned.value, spanned.referenced.line());
            let name = component.name.clone();
            match self.entries.get(&name) {
                Some(known) if known.layer == layer => {
                    let what =
                        format!("already described at {}:{}; keep one of them", known.file, known.line);
                    problem(line, Some(&name), "name", what);
                    continue;
                }
                Some(known) if known.system != number => {
                    let what = format!("belongs to system {}: put it into a file for that one", known.system);
                    problem(line, Some(&name), "system", what);
                    continue;
                }
                Some(_) => {}
                None => self.members.entry(number).or_default().push(name.clone()),
            }
            let file = Arc::clone(file);
            self.entries.insert(name, Entry { component, system: number, file, line, layer });
        }
    }

    /// A component by its name.
    pub fn get(&self, name: &str) -> Option<&Component> {
        self.entry(name).map(|entry| &entry.component)
    }

    /// A component by its name; the error suggests the nearest name.
    pub fn require(&self, name: &str) -> Result<&Component> {
        self.get(name)
            .ok_or_else(|| Error::UnknownComponent { name: name.to_owned(), near: self.nearest(name) })
    }

    /// A component with its system and the place where it is described.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All components by name.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.entries.values().map(|entry| &entry.component)
    }

    /// All components with their places.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All systems by number.
    pub fn systems(&self) -> impl Iterator<Item = &System> {
        self.systems.values()
    }

    /// A system by its number.
    pub fn system(&self, number: u16) -> Option<&System> {
        self.systems.get(&number)
    }

    /// The components of a system, in the order of its file.
    pub fn of_system(&self, number: u16) -> impl Iterator<Item = &Component> {
        self.members.get(&number).into_iter().flatten().map(|name| &self.entries[name].component)
    }

    /// What can take the place of a component.
    pub fn stand_ins(&self, name: &str) -> impl Iterator<Item = &Component> {
        self.components().filter(move |c| c.instead_of.as_ref().is_some_and(|of| of.as_str() == name))
    }

    /// The nearest name that exists, if any is near.
    pub(crate) fn nearest(&self, name: &str) -> Option<String> {
        let distance = |known: &ComponentName| strsim::damerau_levenshtein(known.as_str(), name);
        let best = self.entries.keys().min_by_key(|known| distance(known))?;
        (distance(best) <= 1 + name.len() / 4).then(|| best.to_string())
    }

    /// The message for a name that is mentioned and not there.
    pub(crate) fn unknown(&self, name: &ComponentName) -> String {
        format!("no component `{name}`{}", hint(&self.nearest(name.as_str())))
    }
}

/// Parsed once: it never changes while the program runs.
static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
    let embedded = Catalogue::empty().extended(Layer::Builtin, &builtin_sources());
    embedded.expect("the built-in files are checked by a test")
});

fn builtin_sources() -> Vec<Source> {
    builtin::FILES
        .iter()
        .map(|(name, text)| Source { file: format!("built-in {name}").into(), text: (*text).to_owned() })
        .collect()
}

#[cfg(test)]
mod tests;
