//! Several values in one query parameter.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Values joined by commas, as in `?status=up,down`. A comma or backslash inside a value is written with a
/// backslash before it. Plain query strings cannot repeat a parameter portably; this can be typed by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommaList(pub Vec<String>);

impl CommaList {
    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<S> for CommaList {
    fn from_iter<I: IntoIterator<Item = S>>(values: I) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for CommaList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, value) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(&value.replace('\\', "\\\\").replace(',', "\\,"))?;
        }
        Ok(())
    }
}

impl FromStr for CommaList {
    type Err = std::convert::Infallible;

    /// Every text is a list; empty values are dropped, so that a trailing comma means nothing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut values = vec![String::new()];
        let mut escaped = false;
        for c in text.chars() {
            match (escaped, c) {
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, ',') => values.push(String::new()),
                _ => values.last_mut().expect("begins with one value").push(c),
            }
            escaped = false;
        }
        values.retain(|value| !value.is_empty());
        Ok(Self(values))
    }
}

impl Serialize for CommaList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommaList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Vec<String> {
        text.parse::<CommaList>().expect("every text is a list").0
    }

    #[test]
    fn values_are_parted_by_commas() {
        assert_eq!(parse("up,down"), ["up", "down"]);
        assert_eq!(parse("a\\,b,c\\\\d,"), ["a,b", "c\\d"]);
        assert!(parse(",").is_empty());
    }

    proptest! {
        #[test]
        fn a_list_survives(values in proptest::collection::vec(".{1,8}", 0..5)) {
            prop_assert_eq!(parse(&CommaList(values.clone()).to_string()), values);
        }
    }
}
