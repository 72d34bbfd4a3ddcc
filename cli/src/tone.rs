//! How a word should strike the eye. The only place that knows colours.

use comfy_table::{Attribute, Cell, Color};
use omni_common::domain::ContainerState;

/// Meaning, not colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ordinary.
    #[default]
    Plain,
    /// Known to be well.
    Good,
    /// Someone may look.
    Warn,
    /// Someone should act.
    Bad,
    /// Beside the point, or too old to trust.
    Dim,
    /// A title.
    Strong,
}

impl Tone {
    /// Escape sequence that turns the tone on; empty for [`Tone::Plain`].
    fn ansi(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Warn => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
            Self::Dim => "\u{1b}[2m",
            Self::Strong => "\u{1b}[1m",
        }
    }

    /// `text` in this tone, when colours are wanted.
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        if colour && self != Self::Plain {
            format!("{}{text}\u{1b}[0m", self.ansi())
        } else {
            text.to_owned()
        }
    }

    /// The same on a table cell.
    pub(crate) fn on_cell(self, cell: Cell) -> Cell {
        match self {
            Self::Plain => cell,
            Self::Good => cell.fg(Color::DarkGreen),
            Self::Warn => cell.fg(Color::DarkYellow),
            Self::Bad => cell.fg(Color::DarkRed),
            Self::Dim => cell.add_attribute(Attribute::Dim),
            Self::Strong => cell.add_attribute(Attribute::Bold),
        }
    }

    /// Of a load in percent: four fifths is worth a look, ninety-five is worth a step.
    pub(crate) fn of_load(percent: f32) -> Self {
        match percent {
            p if p >= 95.0 => Self::Bad,
            p if p >= 80.0 => Self::Warn,
            _ => Self::Plain,
        }
    }

    /// Of a container's state.
    pub(crate) fn of_state(state: ContainerState) -> Self {
        match state {
            ContainerState::Running => Self::Good,
            ContainerState::Restarting | ContainerState::Dead => Self::Bad,
            ContainerState::Paused | ContainerState::Removing | ContainerState::Unknown => Self::Warn,
            ContainerState::Created | ContainerState::Exited => Self::Dim,
        }
    }
}
