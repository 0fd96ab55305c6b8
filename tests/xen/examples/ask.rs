//! Boots the lab and shows what dom0 answers to each argument, a script. `put=FILE` copies a file to /lab.
//!
//!     cargo run -p xen-lab --example ask -- put=target/images/grid.xen 'xl list'

use std::{fs, os::unix::net::UnixDatagram, path::Path, time::Instant};

fn main() -> Result<(), String> {
    let wire = || UnixDatagram::pair().map_err(|error| error.to_string());
    let ((_service, service), (_management, management)) = (wire()?, wire()?);
    let start = Instant::now();
    let lab = xen_lab::Lab::start(Path::new("target/xen-lab"), [service.into(), management.into()])?;
    println!("dom0 is ready after {:?}", start.elapsed());
    for argument in std::env::args().skip(1) {
        if let Some(path) = argument.strip_prefix("put=").map(Path::new) {
            let content = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            lab.put(&format!("/lab/{name}"), &content)?;
        } else {
            let output = lab.shell(&argument)?;
            println!("== {argument}\n{}== status {} after {:?}", output.text, output.status, start.elapsed());
        }
    }
    println!("== console\n{}", lab.log());
    Ok(())
}
