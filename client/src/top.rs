//! `top`: a live table of sandboxes.
//!
//! [`state`] is the state of the screen, and changes with keys and events. [`screen`] draws it. Both are pure.

mod screen;
mod size;
mod state;
mod terminal;

use std::{pin::pin, time::Duration};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use self::{
    screen::Drawing,
    state::{Key, State},
    terminal::Terminal,
};
use crate::{
    args::TopArgs,
    error::{Exit, Failure},
    follow::Follow,
    session::Session,
};

/// How often changes are drawn.
const FRAME: Duration = Duration::from_millis(100);

/// How often the table is drawn without a change, because ages grow.
const REFRESH: Duration = Duration::from_secs(1);

pub(crate) async fn run(session: &mut Session<'_, '_>, args: &TopArgs) -> Result<(), Failure> {
    if !session.console.is_terminal {
        let text = "top needs a terminal for its input and output; 'get --watch' prints changes line by line";
        return Err(Failure::Other(Exit::Failed, text.to_owned()));
    }
    let colours = session.console.uses_colours(args.color);
    args.filter.check_clusters(&session.api).await?;
    let mut follow = Follow::new(&session.api, "/api/events");
    let mut state = State::new(session.api.url().to_string(), args.filter.clone(), args.sort_by);
    // An error before the first event is printed as that of any command.
    state.news(follow.next().await?);
    let signals = || -> std::io::Result<[Signal; 3]> {
        Ok([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ])
    };
    let [mut interrupt, mut terminate, mut hangup] = signals()?;
    let mut terminal = Terminal::enter(session.console.out)?;
    let mut drawing = Drawing::new(colours);
    let (mut keys, mut ticks) = (EventStream::new(), interval(FRAME));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut drawn_at, mut is_dirty) = (None, true);
    loop {
        // Kept over keys and ticks: a connection may take longer than these come.
        let mut next = pin!(follow.next());
        loop {
            tokio::select! {
                news = &mut next => {
                    state.news(news?);
                    is_dirty = true;
                    break;
                }
                event = keys.next() => match event {
                    Some(Ok(Event::Key(key))) => {
                        if let Some(key) = key_of(key) && state.press(key, terminal::size()?) {
                            return Ok(());
                        }
                        // A key is answered at once.
                        (drawn_at, is_dirty) = (None, true);
                    }
                    Some(Ok(_)) => (drawn_at, is_dirty) = (None, true),
                    // The terminal is gone.
                    Some(Err(_)) | None => return Ok(()),
                },
                _ = ticks.tick() => {}
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
            }
            let age = drawn_at.map(|at: Instant| at.elapsed());
            if age.is_none_or(|age| age >= REFRESH || (is_dirty && age >= FRAME)) {
                let size = terminal::size()?;
                terminal.draw(&drawing.frame(&mut state, size, Timestamp::now()))?;
                (drawn_at, is_dirty) = (Some(Instant::now()), false);
            }
        }
    }
}

/// Returns the meaning of a key.
fn key_of(KeyEvent { code, modifiers, kind, .. }: KeyEvent) -> Option<Key> {
    if kind == KeyEventKind::Release {
        return None;
    }
    Some(match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
        KeyCode::Char(_) if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Left => Key::Letter('<'),
        KeyCode::Right => Key::Letter('>'),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards which keys mean something.
    #[test]
    fn keys_are_read() {
        let key = |code, modifiers| key_of(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Key::Letter('q')));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Key::Letter('G')));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::F(1), KeyModifiers::NONE), None);
        let released = KeyEvent { kind: KeyEventKind::Release, ..KeyEvent::from(KeyCode::Enter) };
        assert_eq!(key_of(released), None);
    }
}
