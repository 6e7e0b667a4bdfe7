//! The ring as one screenful: for a terminal.

use std::io::{self, Stdout, Write, stdout};
use std::time::Instant;

use crossterm::cursor::{Hide, MoveTo, MoveToNextLine, Show};
use crossterm::style::Print;
use crossterm::terminal::{
    self, Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};

use super::super::out::{Colour, Out, Tone, health_tone, health_word, state_tone};
use super::super::table::{Cell, Table};
use super::nodes::{Nodes, Spec, Told};
use super::snapshot::{Snapshot, SupervisorShot};

/// The terminal, with nothing else on it. It is as it was before once this is dropped.
pub(super) struct Screen {
    out: Stdout,
    opened: Instant,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut out = stdout();
        let screen = Self { out: stdout(), opened: Instant::now() };
        execute!(out, EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, spec: &Spec, nodes: &Nodes, snapshot: &Snapshot) -> io::Result<()> {
        let (_, height) = terminal::size()?;
        let facts = Facts {
            seconds: self.opened.elapsed().as_secs(),
            dir: nodes.dir().display().to_string(),
            http: nodes.nodes.first().map(|node| node.http().to_string()).unwrap_or_default(),
            events: nodes.events(),
            height: usize::from(height),
        };
        queue!(self.out, MoveTo(0, 0))?;
        let lines = lines(spec, snapshot, &facts);
        for line in lines.iter().take(usize::from(height)) {
            queue!(self.out, Print(line), Clear(ClearType::UntilNewLine), MoveToNextLine(1))?;
        }
        // The last line of a full screen must not be cleared again.
        if lines.len() < usize::from(height) {
            queue!(self.out, Clear(ClearType::FromCursorDown))?;
        }
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal is gone: then nobody misses what it was.
        execute!(self.out, EnableLineWrap, Show, LeaveAlternateScreen).ok();
        terminal::disable_raw_mode().ok();
    }
}

/// What is shown besides the ring.
struct Facts {
    seconds: u64,
    dir: String,
    http: String,
    events: Vec<Told>,
    height: usize,
}

fn lines(spec: &Spec, snapshot: &Snapshot, facts: &Facts) -> Vec<String> {
    // Only for its paint: a screen is always a terminal, unless colours are not wanted.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = if plain { Colour::Off } else { Colour::On };
    let painter = Out::new(Box::new(io::sink()), Box::new(io::sink()), false, colour);
    let paint = |tone: Tone, text: &str| painter.paint(tone, text);

    let health = match &snapshot.missing {
        None => paint(Tone::Good, "healthy"),
        Some(missing) => paint(Tone::Uneasy, missing),
    };
    let mut lines =
        vec![format!("sup dev  {} on {} nodes, {}s: {health}", spec.group, snapshot.nodes.len(), facts.seconds)];
    if let Some(leader) = &snapshot.leader {
        lines.push(format!("leader   {} (term {})", leader.address, leader.term));
    }
    if let Some(rollout) = &snapshot.rollout {
        lines.push(format!("rollout  {rollout}"));
    }
    lines.push(String::new());
    lines.extend(table(snapshot).lines(paint));
    let hints = [
        String::new(),
        paint(Tone::Faint, "TRY"),
        format!("  curl http://{}/v1/groups/{}", facts.http, spec.group),
        format!("  sup --data-dir {}/node-1 group show {}", facts.dir, spec.group),
        format!("  tail -f {}/node-1.log", facts.dir),
        String::new(),
        paint(Tone::Faint, "1-9 kill -9 that supervisor, or start it again   q quit"),
    ];
    // Events take what is left between the table and the hints.
    let room = facts.height.saturating_sub(lines.len() + hints.len() + 2);
    if room > 0 && !facts.events.is_empty() {
        lines.extend([String::new(), paint(Tone::Faint, "EVENTS")]);
        let skipped = facts.events.len().saturating_sub(room);
        lines.extend(facts.events.iter().skip(skipped).map(|Told { by, event }| {
            let time = event.at.to_string();
            let head = format!("{}  {by}", time.get(11..19).unwrap_or_default());
            format!("  {}  {}", paint(Tone::Faint, &head), event.message)
        }));
    }
    lines.extend(hints);
    lines
}

fn table(snapshot: &Snapshot) -> Table<8> {
    let mut table = Table::new(["#", "NODE", "STATE", "HEALTH", "ROLE", "PID", "RESTARTS", "WHY"]);
    for (number, node) in (1..).zip(&snapshot.nodes) {
        let bare = |state: Cell, why: &str| {
            let number: usize = number;
            let address = node.address.to_string();
            [number.to_string().into(), address.into(), state, "".into(), "".into(), "".into(), "".into(), why.into()]
        };
        table.row(match (&node.supervisor, &node.service) {
            (SupervisorShot::Starting, _) => bare(Cell::toned(Tone::Uneasy, "starting"), "its supervisor starts"),
            (SupervisorShot::Gone(how), _) => bare(Cell::toned(Tone::Bad, "gone"), how),
            (SupervisorShot::Up, None) => bare(Cell::toned(Tone::Uneasy, "starting"), "the service is being loaded"),
            (SupervisorShot::Up, Some(service)) => [
                number.to_string().into(),
                node.address.to_string().into(),
                Cell::toned(state_tone(service.state), service.state.as_str()),
                Cell::toned(health_tone(service.health), health_word(service.health)),
                service.role.into(),
                service.pid.map_or_else(String::new, |pid| pid.to_string()).into(),
                service.restarts.to_string().into(),
                service.why.as_str().into(),
            ],
        });
    }
    table
}
