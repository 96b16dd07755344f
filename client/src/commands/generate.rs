//! `completions` and `man`: files for shells and for `man`.

use std::{fs, path::Path};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    error::{Exit, Failure},
    output::Console,
};

/// Prints the completions of a shell.
pub(super) fn completions(
    mut program: Command,
    shell: Shell,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut text);
    console.print(&String::from_utf8_lossy(&text))
}

/// Prints the page of the program, or writes the pages of all its commands.
pub(super) fn manual(program: Command, dir: Option<&Path>, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        Man::new(program).render(&mut page)?;
        return console.print(&String::from_utf8_lossy(&page));
    };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Other(Exit::Failed, format!("cannot write the manual pages to {}: {error}", dir.display()))
    };
    if !fs::metadata(dir).map_err(|error| failed(&error))?.is_dir() {
        return Err(failed(&"it is not a directory"));
    }
    clap_mangen::generate_to(program, dir).map_err(|error| failed(&error))
}
