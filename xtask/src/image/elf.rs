//! The ELF file that every artefact is made of: linked, packed, within its size.

use super::{Description, Options, Source, archive, pack, read, write};
use crate::{Failure, cargo};
use std::{fs, path::Path};

/// Links the package for `back_end` and packs it into `directory`.
pub fn build<'a>(
    description: &'a Description,
    back_end: &str,
    options: &Options,
    directory: &Path,
) -> Result<Source<'a>, Failure> {
    let content = options.content.as_deref().map(archive::pack).transpose()?;
    let configuration = options.config.as_deref().map(read_configuration).transpose()?;
    let linked = cargo::link_image(&description.package, back_end)?;
    let linked_bytes = read(&linked)?;
    let baked = pack::Baked { content: content.as_deref(), configuration: configuration.as_deref() };
    let devices = description.devices_for(content.is_some(), options.management);
    let image = pack::pack(&linked_bytes, &devices, &baked)
        .map_err(|error| format!("{}: {error}", linked.display()))?;
    let program_bytes = image.len() - content.as_ref().map_or(0, Vec::len);
    if program_bytes > description.size_max_bytes {
        let (name, limit) = (&description.name, description.size_max_bytes);
        return Err(format!(
            "{name}.{back_end} has {program_bytes} bytes without its content, images/{name}.toml allows {limit}"
        ));
    }
    let path = directory.join(format!("{}.{back_end}", description.name));
    write(&path, &image)?;
    write(&path.with_extension(format!("{back_end}.debug")), &linked_bytes)?;
    Ok(Source { description, elf: path, devices })
}

fn read_configuration(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str::<toml::Table>(&text)
        .map_err(|error| format!("{}: {}", path.display(), super::description::one_line(&error)))?;
    Ok(text.into_bytes())
}
