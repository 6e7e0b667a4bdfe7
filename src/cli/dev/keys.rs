//! Keys and signals.

use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::api::{Problem, ProblemKind};

/// How often the thread that reads keys looks whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Keys that wait to be heeded; more are dropped, since somebody leans on the keyboard.
const KEYS: usize = 16;

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// That it ends.
    Quit,
    /// That this node, counted from 0, is killed; or started, if it is not running.
    Node(usize),
}

/// Where inputs come from.
pub(super) struct Keys {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    keys: mpsc::Receiver<Input>,
    reader: Option<mpsc::Sender<Input>>,
}

impl Keys {
    /// Heeds SIGINT, SIGTERM and SIGHUP.
    pub(super) fn of_signals() -> Result<Self, Problem> {
        let heed = |kind| signal(kind).map_err(|error| Problem::caused(ProblemKind::Internal, &error));
        let (sender, keys) = mpsc::channel(KEYS);
        Ok(Self {
            interrupt: heed(SignalKind::interrupt())?,
            terminate: heed(SignalKind::terminate())?,
            hangup: heed(SignalKind::hangup())?,
            keys,
            reader: Some(sender),
        })
    }

    /// Heeds keys of the terminal as well, which is in raw mode: Ctrl-C is a key then.
    pub(super) fn read_terminal(&mut self) {
        if let Some(sender) = self.reader.take() {
            std::thread::spawn(move || {
                while !sender.is_closed() {
                    match event::poll(LOOK_UP) {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(_) => return,
                    }
                    let Ok(event) = event::read() else { return };
                    if let Some(input) = meaning(&event) {
                        // Full: somebody leans on the keyboard, and means the same.
                        sender.try_send(input).ok();
                    }
                }
            });
        }
    }

    /// The next input.
    pub(super) async fn next(&mut self) -> Input {
        tokio::select! {
            _ = self.interrupt.recv() => Input::Quit,
            _ = self.terminate.recv() => Input::Quit,
            _ = self.hangup.recv() => Input::Quit,
            Some(input) = self.keys.recv() => input,
        }
    }
}

fn meaning(event: &Event) -> Option<Input> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Input::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Input::Quit),
        KeyCode::Char(digit) => {
            let number = digit.to_digit(10).filter(|number| *number > 0)?;
            usize::try_from(number - 1).ok().map(Input::Node)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

    use super::{Input, meaning};

    #[test]
    fn keys_mean_what_the_screen_says() {
        let press = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::Char('1'), KeyModifiers::NONE), Some(Input::Node(0)));
        assert_eq!(press(KeyCode::Char('0'), KeyModifiers::NONE), None);
    }
}
