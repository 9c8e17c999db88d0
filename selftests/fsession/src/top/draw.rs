// SPDX-License-Identifier: GPL-2.0

//! The live view, drawn: a function of its state.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{List, ListState, Paragraph};
use ratatui::Frame;

use super::rates::Rates;
use super::state::{State, SORT_KEYS};
use super::table::Table;
use super::NO_INSTRUCTIONS;
use crate::look;

pub fn draw(frame: &mut Frame, state: &State) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ]);
    let [top, middle, bottom] = areas.areas(frame.area());
    frame.render_widget(Line::from(title(state)).bold(), top);
    if state.help {
        let text = Text::from_iter(help(usize::from(middle.width)));
        frame.render_widget(Paragraph::new(text), middle);
    } else if let Some((lines, first)) = &state.opened {
        let seen = lines.iter().skip(*first).map(String::as_str);
        frame.render_widget(Paragraph::new(Text::from_iter(seen)), middle);
    } else {
        rows(frame, state, middle);
    }
    frame.render_widget(Line::from(keys(state)).dim(), bottom);
}

fn title(state: &State) -> String {
    let Some(rates) = &state.rates else {
        return "fsession top  counting ...".into();
    };
    let mut text = summary(rates);
    if state.paused {
        text += "  paused";
    }
    if !state.filter.is_empty() && !state.typing {
        text += &format!("  /{}", state.filter);
    }
    text
}

/// What a sample is, in a line.
pub fn summary(rates: &Rates) -> String {
    // (The sum of nothing is -0.)
    let cpu = rates
        .programs
        .iter()
        .fold(0.0, |sum, row| sum + row.cpu_percent);
    let count = rates.programs.len();
    let programs = if count == 1 { "program" } else { "programs" };
    format!("{count} {programs}  {:.1} s  {cpu:.2} % CPU", rates.seconds)
}

fn keys(state: &State) -> String {
    if state.typing {
        return format!("filter: {}_", state.filter);
    }
    if state.opened.is_some() {
        return "q back  arrows move".into();
    }
    if state.help {
        return "any key goes back".into();
    }
    "q quit  ? help  / filter  Enter open".into()
}

fn rows(frame: &mut Frame, state: &State, area: Rect) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let table = Table::new(usize::from(area.width));
    let mark = if state.sort.reversed { '^' } else { 'v' };
    frame.render_widget(Line::from(table.head(state.sort.by, mark)).dim(), head);

    let rows = state.rows();
    if rows.is_empty() {
        let text = match &state.rates {
            None => "",
            Some(rates) if rates.programs.is_empty() => "no programs behind trampolines",
            Some(_) => "no such program (Esc shows all)",
        };
        frame.render_widget(Line::from(text).dim(), body);
        return;
    }
    let list =
        List::new(rows.iter().map(|row| table.row(row))).highlight_style(Style::new().reversed());
    let mut marked = ListState::default().with_selected(Some(state.mark()));
    frame.render_stateful_widget(list, body, &mut marked);
}

fn help(width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut key = |key: &str, what: &str| lines.push(format!("  {key:<6} {what}"));
    key("q", "quit, or back");
    key("Enter", "open the trampoline");
    key("/", "filter: part of a name");
    key("Esc", "all rows again");
    key("Space", "hold still, go on");
    key("r", "the other way round");
    for three in SORT_KEYS.chunks(3) {
        let letters: Vec<_> = three.iter().map(|(key, _)| key.to_string()).collect();
        let columns: Vec<_> = three.iter().map(|(_, column)| column.head()).collect();
        key(
            &letters.join(" "),
            &format!("sort by {}", columns.join(", ")),
        );
    }
    lines.push(String::new());
    lines.extend(look::wrap(NO_INSTRUCTIONS, width));
    lines
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent};
    use ratatui::backend::TestBackend;
    use ratatui::Terminal;

    use super::super::rates::Row;
    use super::super::state::Wish;
    use super::*;

    fn row(id: u32, target: &str, program: &str, calls: f64, nanoseconds: f64) -> Row {
        Row {
            id,
            program: program.into(),
            kind: "fsession".into(),
            target: target.into(),
            calls_per_second: calls,
            ns_per_call: (calls > 0.0).then_some(nanoseconds),
            cpu_percent: calls * nanoseconds / 1e7,
            ..Row::default()
        }
    }

    fn state() -> State {
        State {
            rates: Some(Rates {
                seconds: 1.0,
                programs: vec![
                    row(3, "vfs_read", "on_read", 120_000.0, 250.0),
                    row(4, "vfs_write", "on_write", 900.0, 512.5),
                    row(9, "hrtimer_nanosleep", "on_sleep_of_any_task", 0.0, 0.0),
                ],
            }),
            ..State::default()
        }
    }

    fn drawn(state: &State, width: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, 8)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let lines = terminal.backend().to_string();
        let lines = lines.lines().map(|line| line.trim_matches('"').trim_end());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn press(state: &mut State, codes: &[KeyCode]) -> Wish {
        let mut wish = Wish::Nothing;
        for code in codes {
            wish = state.key(KeyEvent::from(*code));
        }
        wish
    }

    #[test]
    fn eighty_columns_have_all() {
        insta::assert_snapshot!(drawn(&state(), 80), @r"
        3 programs  1.0 s  3.05 % CPU
        TARGET                  PROGRAM                KIND        CALL/s  AVG ns CPU %v
        vfs_read                on_read                fsession    120.0k     250   3.00
        vfs_write               on_write               fsession       900     513   0.05
        hrtimer_nanosleep       on_sleep_of_any_task   fsession         0       -      0


        q quit  ? help  / filter  Enter open
        ");
    }

    #[test]
    fn forty_columns_have_targets_and_figures() {
        insta::assert_snapshot!(drawn(&state(), 40), @r"
        3 programs  1.0 s  3.05 % CPU
        TARGET             CALL/s  AVG ns CPU %v
        vfs_read           120.0k     250   3.00
        vfs_write             900     513   0.05
        hrtimer_nanosleep       0       -      0


        q quit  ? help  / filter  Enter open
        ");
    }

    #[test]
    fn keys_sort_and_filter() {
        let mut state = state();
        let targets = |state: &State| -> Vec<_> {
            state.rows().iter().map(|row| row.target.clone()).collect()
        };
        assert_eq!(targets(&state)[0], "vfs_read");
        press(&mut state, &[KeyCode::Char('n')]);
        assert_eq!(
            targets(&state),
            ["vfs_write", "vfs_read", "hrtimer_nanosleep"]
        );
        press(&mut state, &[KeyCode::Char('t'), KeyCode::Char('r')]);
        assert_eq!(
            targets(&state),
            ["vfs_write", "vfs_read", "hrtimer_nanosleep"]
        );

        press(
            &mut state,
            &[KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Backspace],
        );
        press(
            &mut state,
            &[KeyCode::Char('s'), KeyCode::Char('l'), KeyCode::Enter],
        );
        assert_eq!(targets(&state), ["hrtimer_nanosleep"]);
        press(&mut state, &[KeyCode::Char('/'), KeyCode::Char('x')]);
        insta::assert_snapshot!(drawn(&state, 40), @r"
        3 programs  1.0 s  3.05 % CPU
        TARGET^            CALL/s  AVG ns  CPU %
        no such program (Esc shows all)




        filter: slx_
        ");
        press(&mut state, &[KeyCode::Esc]);
        assert_eq!(targets(&state).len(), 3);
    }

    #[test]
    fn the_mark_stays_on_its_program() {
        let mut state = state();
        press(&mut state, &[KeyCode::Down]);
        assert_eq!(state.marked, Some(4));
        press(&mut state, &[KeyCode::Char('t')]);
        assert_eq!(state.mark(), 2);
        let Wish::Open(row) = press(&mut state, &[KeyCode::Enter]) else {
            panic!("nothing is opened");
        };
        assert_eq!(row.target, "vfs_write");
        press(&mut state, &[KeyCode::End]);
        assert_eq!(state.mark(), 2);
        press(&mut state, &[KeyCode::Home, KeyCode::Up]);
        assert_eq!(state.mark(), 0);
    }

    #[test]
    fn text_that_is_open_is_moved_through_and_left() {
        let mut state = state();
        let lines = (0..20).map(|line| format!("line {line}")).collect();
        state.opened = Some((lines, 0));
        press(&mut state, &[KeyCode::Down, KeyCode::PageDown]);
        assert!(drawn(&state, 40).contains("line 11\nline 12"));
        press(&mut state, &[KeyCode::End]);
        assert!(drawn(&state, 40).contains("line 19"));
        assert_eq!(press(&mut state, &[KeyCode::Char('q')]), Wish::Nothing);
        assert!(state.opened.is_none());
        assert_eq!(press(&mut state, &[KeyCode::Char('q')]), Wish::Quit);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let none = State {
            rates: Some(Rates::default()),
            ..State::default()
        };
        assert!(drawn(&none, 40).contains("no programs behind trampolines"));
        // A terminal of no size at all.
        drawn(&state(), 1);
    }
    #[test]
    fn help_fits_forty_columns() {
        insta::assert_snapshot!(help(40)[1..].join("\n"), @r"
          q      quit, or back
          Enter  open the trampoline
          /      filter: part of a name
          Esc    all rows again
          Space  hold still, go on
          r      the other way round
          t p k  sort by TARGET, PROGRAM, KIND
          c n u  sort by CALL/s, AVG ns, CPU %

        The kernel counts calls and time of each
        program, not its instructions.
        ");
    }
}
