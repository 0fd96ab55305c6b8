//! The one door for people: builds images, runs them, tests and measures everything.
//!
//! `cargo xtask help` lists the commands; each is a module with a `run`. CI calls `cargo xtask ci` and nothing else.

mod bench;
mod cargo;
mod fuzz;
mod image;
mod run;
mod sizes;
mod symbolize;
mod test;
mod tidy;

use std::process::ExitCode;

/// What a command says when it fails: one or more complete lines, whose fault and what to do.
type Failure = String;

const HELP: &str = "\
usage: cargo xtask COMMAND

  image SERVICE TARGET [--content DIR] [--config FILE] [--management] [--out DIR] [-- ARGUMENTS]
                      build a bootable image. TARGET is
                        spt hvt virtio         the ELF file
                        xen                    the ELF file, and a configuration for xl
                        disk-bios disk-uefi    a disk, raw, and as qcow2 where qemu-img is installed
                        firecracker libvirt    a configuration or domain, and the ELF file
                        oci [--monitor hvt|spt|qemu|firecracker]    an archive for urunc (Kubernetes)
                      ARGUMENTS go into what is not the ELF file. Prints size and SHA-256; the last line is the path.
                      SHA256SUMS lies beside it
  run SERVICE [--on TARGET] [--content DIR] [--config FILE]
      [--publish ADDR:PORT:GUESTPORT[/udp|/tcp]]... [--memory MIB] [-- ARGUMENTS]
                      build the image and run it here, without root. TARGET is spt (if none), hvt, qemu, microvm,
                      disk-bios, disk-uefi, or xen (this host's, or one in QEMU)
  bench dns [--only ROW]... [--seconds N] [--rounds N]
                      measure the DNS image beside the floor, NSD and Knot; needs root.
                      `bench --help` lists the rows
  test [--no-skip]    run every test; what cannot run here is named, or fails
  fuzz [TARGET]... [--seconds N]
                      run the fuzz targets, ten minutes each; needs nightly Rust and cargo-fuzz
  sizes               print the bytes of every image and the lines of every crate
  tidy                check the rules that a program can check
  ci                  what CI runs: format, lints, test, reproducibility, sizes; a skipped check fails
  symbolize IMAGE     name the addresses of a panic's or fault's report (from standard input)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_else(|| "help".into());
    let arguments: Vec<String> = arguments.collect();
    let own = arguments.split(|argument| argument == "--").next().unwrap_or_default();
    let asks_for_help = own.iter().any(|argument| ["--help", "-h"].contains(&argument.as_str()));
    let result = match command.as_str() {
        // It has more to say than fits here.
        "bench" => bench::run(arguments),
        _ if asks_for_help => help(),
        "image" => image::run(arguments),
        "run" => run::run(arguments),
        "test" => test::run(arguments),
        "fuzz" => fuzz::run(arguments),
        "sizes" => sizes::run(None),
        "tidy" => tidy::run(),
        "ci" => test::ci(),
        "symbolize" => symbolize::run(arguments),
        "help" | "--help" | "-h" => help(),
        other => Err(format!("there is no command '{other}'; `cargo xtask help` lists them")),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("xtask: {failure}");
        ExitCode::FAILURE
    })
}

fn help() -> Result<ExitCode, Failure> {
    print!("{HELP}");
    Ok(ExitCode::SUCCESS)
}
