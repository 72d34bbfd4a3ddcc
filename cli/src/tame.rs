//! Foreign lines on our terminal: colours may stay, everything else that steers a terminal may not.

/// `line` with every control character but tabs and, when `colour` is on, colour sequences made visible.
pub(crate) fn tame(line: &str, colour: bool) -> String {
    if !line.contains(|c: char| c.is_control() && c != '\t') {
        return line.to_owned();
    }
    let mut text = String::with_capacity(line.len());
    let mut coloured = false;
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        if let Some(length) = colour_sequence(rest) {
            if colour {
                text.push_str(&rest[..length]);
                coloured = true;
            }
            rest = &rest[length..];
            continue;
        }
        match letter {
            // A carriage return at the end is a program that ends lines in two characters.
            '\r' if rest.len() == 1 => {}
            '\t' => text.push('\t'),
            control if control.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
        rest = &rest[letter.len_utf8()..];
    }
    if coloured {
        text.push_str("\u{1b}[0m");
    }
    text
}

/// Length in bytes of the colour sequence (`ESC [ digits and semicolons m`) that `text` begins with.
fn colour_sequence(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\u{1b}[")?;
    let end = body.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    body[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_nothing_else_steers_the_terminal() {
        let red = "\u{1b}[1;31merror\u{1b}[0m: no";
        assert_eq!(tame(red, true), format!("{red}\u{1b}[0m"));
        assert_eq!(tame(red, false), "error: no");
        assert_eq!(tame("a\u{1b}[2Jb\u{7}\tc\r", true), "a\u{fffd}[2Jb\u{fffd}\tc");
        assert_eq!(tame("\u{1b}]0;title\u{7}", true), "\u{fffd}]0;title\u{fffd}");
        assert_eq!(tame("\u{1b}[31", true), "\u{fffd}[31");
        assert_eq!(tame("plain ünï", true), "plain ünï");
    }
}
