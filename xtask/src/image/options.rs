//! What `cargo xtask image` can be told.

use lexopt::ValueExt;
use std::path::PathBuf;

/// What to bake in, and where to put the image.
#[derive(Default)]
pub struct Options {
    /// Directory that becomes the content archive.
    pub content: Option<PathBuf>,
    /// TOML document with the keys of the service's arguments.
    pub config: Option<PathBuf>,
    /// Directory for the image; `target/images` if none.
    pub out: Option<PathBuf>,
    /// Whether the image has an interface of its own for logs and metrics.
    pub management: bool,
    /// For `oci`: what urunc is to run the image with.
    pub monitor: Option<String>,
    /// The guest's arguments, written into the artefacts that have a place for them.
    pub arguments: Vec<String>,
}

/// Service, target and options of a command line.
pub fn parse(mut own: Vec<String>) -> Result<(String, String, Options), lexopt::Error> {
    let mut options = Options::default();
    if let Some(end) = own.iter().position(|argument| argument == "--") {
        options.arguments = own.split_off(end).split_off(1);
    }
    let mut operands = Vec::new();
    let mut parser = lexopt::Parser::from_args(own);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("content") => options.content = Some(parser.value()?.into()),
            lexopt::Arg::Long("config") => options.config = Some(parser.value()?.into()),
            lexopt::Arg::Long("out") => options.out = Some(parser.value()?.into()),
            lexopt::Arg::Long("management") => options.management = true,
            lexopt::Arg::Long("monitor") => options.monitor = Some(parser.value()?.string()?),
            lexopt::Arg::Value(operand) => operands.push(operand.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let [service, target] = <[String; 2]>::try_from(operands)
        .map_err(|_| "it takes a service and a target, such as: cargo xtask image dns spt")?;
    Ok((service, target, options))
}
