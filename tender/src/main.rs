//! The recipe: understand the command line, validate the image, attach its devices, run it.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::exit;

use skerry_tender::args::{self, Command, Options};
use skerry_tender::elf::Image;
use skerry_tender::failure::Failure;
use skerry_tender::{boot, devices, hvt, limits, network, spt};
use solo5_sys::elf::Target;

fn main() {
    let command = args::parse(std::env::args_os().skip(1)).unwrap_or_else(|failure| fail(&failure));
    match command {
        Command::Help => print!("{}", args::HELP),
        Command::Version => println!("skerry-tender {}, Solo5 ABI 2", env!("CARGO_PKG_VERSION")),
        Command::Run(options) => {
            let Err(failure) = run(&options);
            fail(&failure)
        }
    }
}

/// Ends the process with the guest's status, or says why there is no guest.
fn run(options: &Options) -> Result<Infallible, Failure> {
    let path = Path::new(&options.image);
    let refuse = |what: String| Failure::general(format!("{}: {what}", path.display()));
    let command_line = boot::command_line(&options.guest)?;
    let file = read(path).map_err(|error| refuse(error.to_string()))?;
    let image = Image::parse(&file).map_err(|error| refuse(error.to_string()))?;
    image.check_fits(options.memory).map_err(|error| refuse(error.to_string()))?;
    let mut manifest = image.manifest.clone();
    devices::check_declared(options, &mut manifest)?;
    let user_network = match options.user_network() {
        true => Some(network::user::start(&options.published, options.outbound)?),
        false => None,
    };
    let offload = options.offload && image.target == Target::Spt && image.network_offload.is_some();
    let offload = devices::attach(options, &mut manifest, user_network, offload)?;
    match image.target {
        Target::Spt => {
            let guest =
                spt::Guest::prepare(&image, &manifest, options.memory, &command_line, options.ring, offload)?;
            drop(image);
            drop(file);
            guest.run()
        }
        _ => {
            let guest = hvt::Guest::prepare(&image, &manifest, options.memory, &command_line, options.ring)?;
            drop(image);
            drop(file);
            guest.run()
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(size.min(limits::IMAGE_FILE_MAX) as usize);
    file.take(limits::IMAGE_FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits::IMAGE_FILE_MAX {
        return Err(std::io::Error::other("larger than any image may be"));
    }
    Ok(bytes)
}

fn fail(failure: &Failure) -> ! {
    eprintln!("skerry-tender: {failure}");
    exit(failure.status)
}
