//! The word that was probably meant.

/// Farthest that a word may be from another and still be taken for a slip: about one letter in three.
fn reach(word: &str) -> usize {
    (word.chars().count() / 3).clamp(1, 3)
}

/// The known word nearest to `word`, when it is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&lower, &known.to_lowercase().replace('-', "_")), known))
        .filter(|(distance, _)| *distance <= reach(word))
        .min()
        .map(|(_, known)| known)
}

/// "did you mean …", or a list of what there is when it is short, or nothing.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    if all.is_empty() || all.len() > 12 {
        return String::new();
    }
    format!("there is {}", all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}
