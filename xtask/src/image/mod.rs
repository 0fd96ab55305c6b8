//! `cargo xtask image`: from a package and a file in `images/` to a bootable artefact.
//!
//! ```text
//! package ─ cargo, platform/link.ld ─► linked ELF ─ pack: manifest, content, configuration ─► image
//!                                          └─► IMAGE.debug, for symbolize
//! ```

mod archive;
mod description;
mod pack;

pub use description::{Description, names};

use crate::{Failure, cargo};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What to bake in, and where to put the image.
#[derive(Default)]
pub struct Options {
    /// Directory that becomes the content archive.
    pub content: Option<PathBuf>,
    /// TOML document with the keys of the service's arguments.
    pub config: Option<PathBuf>,
    /// Directory for the image; `target/images` if none.
    pub out: Option<PathBuf>,
}

/// `image SERVICE TARGET [--content DIR] [--config FILE] [--out DIR]`
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let mut options = Options::default();
    let mut operands = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            lexopt::Arg::Long("content") => options.content = Some(path(&mut parser)?),
            lexopt::Arg::Long("config") => options.config = Some(path(&mut parser)?),
            lexopt::Arg::Long("out") => options.out = Some(path(&mut parser)?),
            lexopt::Arg::Value(operand) => operands.push(operand.to_string_lossy().into_owned()),
            other => {
                return Err(format!("image: {}; `cargo xtask help` lists the options", other.unexpected()));
            }
        }
    }
    let [service, target] = operands.as_slice() else {
        return Err("image takes a service and a target, such as: cargo xtask image dns spt".into());
    };
    let path = build(&Description::load(service)?, target, &options)?;
    // What runs it, so that the next thing typed can be that.
    println!("tender  {}", cargo::build_tender()?.display());
    println!("bytes   {}", read(&path)?.len());
    println!("sha256  {}", digest(&path)?);
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn path(parser: &mut lexopt::Parser) -> Result<PathBuf, Failure> {
    parser.value().map(PathBuf::from).map_err(|error| error.to_string())
}

/// Builds the image that `description` describes for `target` and returns its path.
pub fn build(description: &Description, target: &str, options: &Options) -> Result<PathBuf, Failure> {
    description.check_target(target)?;
    let content = options.content.as_deref().map(archive::pack).transpose()?;
    let configuration = options.config.as_deref().map(read_configuration).transpose()?;
    let linked = cargo::link_image(&description.package, target)?;
    let linked_bytes = read(&linked)?;
    let baked = pack::Baked { content: content.as_deref(), configuration: configuration.as_deref() };
    let devices = description.devices_for(content.is_some());
    let image = pack::pack(&linked_bytes, &devices, &baked)
        .map_err(|error| format!("{}: {error}", linked.display()))?;
    let program_bytes = image.len() - content.as_ref().map_or(0, Vec::len);
    if program_bytes > description.size_max_bytes {
        let (name, limit) = (&description.name, description.size_max_bytes);
        return Err(format!(
            "{name}.{target} has {program_bytes} bytes without its content, images/{name}.toml allows {limit}"
        ));
    }
    let directory = options.out.clone().unwrap_or_else(|| cargo::target_directory().join("images"));
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let path = directory.join(format!("{}.{target}", description.name));
    write(&path, &image)?;
    write(&path.with_extension(format!("{target}.debug")), &linked_bytes)?;
    Ok(path)
}

fn read_configuration(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str::<toml::Table>(&text)
        .map_err(|error| format!("{}: {}", path.display(), one_line(&error)))?;
    Ok(text.into_bytes())
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// SHA-256 of a file, in hexadecimal.
pub fn digest(path: &Path) -> Result<String, Failure> {
    Ok(Sha256::digest(read(path)?).iter().map(|byte| format!("{byte:02x}")).collect())
}
