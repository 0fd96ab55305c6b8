//! `cargo xtask run`: builds an image and the tender and runs the one in the other, without root and without a TAP device.

use crate::{Failure, cargo, image};
use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

struct Options {
    target: String,
    image: image::Options,
    publish: Vec<String>,
    memory_mib: Option<u32>,
    arguments: Vec<String>,
}

/// `run SERVICE [--on TARGET] [--content DIR] [--config FILE] [--publish …]... [--memory MIB] [-- ARGUMENTS]`
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let (service, options) = parse(arguments).map_err(|error| format!("run: {error}"))?;
    let description = image::Description::load(&service)?;
    let mut image_options = options.image;
    if image_options.content.is_none() {
        image_options.content = description.example.as_ref().map(|example| cargo::workspace().join(example));
    }
    let tender = cargo::build_tender()?;
    let path = image::build(&description, &options.target, &image_options)?;

    let memory_mib = options.memory_mib.unwrap_or(description.memory_mib);
    let publish = if options.publish.is_empty() { &description.publish } else { &options.publish };
    let mut command = Command::new(tender);
    command.arg(format!("--mem={memory_mib}"));
    command.args(publish.iter().map(|rule| format!("--publish={rule}")));
    command.arg("--").arg(&path).args(&description.arguments).args(&options.arguments);
    eprintln!("running {}", words(&command));
    for line in &description.try_next {
        eprintln!("try     {line}");
    }
    // The tender takes this process's place, so that a signal sent here reaches it.
    Err(format!("cannot start {command:?}: {}", command.exec()))
}

fn parse(arguments: Vec<String>) -> Result<(String, Options), lexopt::Error> {
    let mut options = Options {
        target: "spt".into(),
        image: image::Options::default(),
        publish: Vec::new(),
        memory_mib: None,
        arguments: Vec::new(),
    };
    let mut service = None;
    let mut own = arguments;
    if let Some(end) = own.iter().position(|argument| argument == "--") {
        options.arguments = own.split_off(end).split_off(1);
    }
    let mut parser = lexopt::Parser::from_args(own);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("on") => options.target = parser.value()?.to_string_lossy().into_owned(),
            lexopt::Arg::Long("content") => options.image.content = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("config") => options.image.config = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("publish") => {
                options.publish.push(parser.value()?.to_string_lossy().into_owned());
            }
            lexopt::Arg::Long("memory") => {
                let value = parser.value()?.to_string_lossy().into_owned();
                let memory = value.parse().map_err(|_| format!("--memory takes MiB, not '{value}'"))?;
                options.memory_mib = Some(memory);
            }
            lexopt::Arg::Value(operand) if service.is_none() => {
                service = Some(operand.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected()),
        }
    }
    let service = service.ok_or("which service? Such as: cargo xtask run dns")?;
    Ok((service, options))
}

fn words(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(command.get_program().to_string_lossy().into_owned())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
