//! What keys do.

use super::model::Model;
use crate::args::TopSort;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Rows that a page key moves.
const PAGE: isize = 10;

/// What follows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Stay.
    Stay,
    /// Leave.
    Quit,
}

/// Does what `key` means.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Step {
    if key.kind == KeyEventKind::Release {
        return Step::Stay;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Step::Quit,
        KeyCode::Char('c') if control => return Step::Quit,
        KeyCode::Tab => model.next_pane(),
        KeyCode::Up | KeyCode::Char('k') => model.scroll(-1),
        KeyCode::Down | KeyCode::Char('j') => model.scroll(1),
        KeyCode::PageUp => model.scroll(-PAGE),
        KeyCode::PageDown => model.scroll(PAGE),
        KeyCode::Home => model.scroll(isize::MIN),
        KeyCode::End => model.scroll(isize::MAX),
        KeyCode::Char('c') => model.sort = TopSort::Cpu,
        KeyCode::Char('m') => model.sort = TopSort::Mem,
        KeyCode::Char('n') => model.sort = TopSort::Net,
        KeyCode::Char('a') => model.sort = TopSort::Name,
        _ => {}
    }
    Step::Stay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_sorts_and_control_c_leaves() {
        let mut model = Model::new("home".to_owned(), TopSort::Mem);
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        assert_eq!(press(&mut model, key(KeyCode::Char('c'), KeyModifiers::NONE)), Step::Stay);
        assert_eq!(model.sort, TopSort::Cpu);
        assert_eq!(press(&mut model, key(KeyCode::Char('c'), KeyModifiers::CONTROL)), Step::Quit);
        assert_eq!(press(&mut model, key(KeyCode::Char('q'), KeyModifiers::NONE)), Step::Quit);
    }
}
