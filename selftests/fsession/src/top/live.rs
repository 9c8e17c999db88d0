// SPDX-License-Identifier: GPL-2.0

//! The live view on a terminal.

use std::time::{Duration, Instant};

use anyhow::Result;
use crossterm::event::{self, Event, KeyEventKind};
use ratatui::DefaultTerminal;

use super::detail;
use super::draw::draw;
use super::rates::Rates;
use super::sample::Sampler;
use super::state::{State, Wish};

/// Draws every `pause` until somebody quits.
pub fn run(state: State, mut sampler: Sampler, pause: Duration) -> Result<()> {
    // (It leaves the terminal as it was after a panic, too.)
    let mut terminal = ratatui::try_init()?;
    let result = watch(&mut terminal, state, &mut sampler, pause);
    ratatui::try_restore()?;
    result
}

fn watch(
    terminal: &mut DefaultTerminal,
    mut state: State,
    sampler: &mut Sampler,
    pause: Duration,
) -> Result<()> {
    let mut last = sampler.take()?;
    loop {
        terminal.draw(|frame| draw(frame, &state))?;
        let due = last.at + pause;
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            if event::poll(left)? {
                let Event::Key(key) = event::read()? else {
                    // Another size is drawn at once.
                    continue;
                };
                if key.kind == KeyEventKind::Release {
                    continue;
                }
                match state.key(key) {
                    Wish::Nothing => {}
                    Wish::Quit => return Ok(()),
                    Wish::Open(row) => {
                        let width = usize::from(terminal.size()?.width);
                        state.opened = Some((detail::lines(&row, width), 0));
                    }
                }
            }
            continue;
        }
        let now = sampler.take()?;
        if !state.paused {
            state.rates = Some(Rates::between(&last, &now));
        }
        last = now;
    }
}
