//! The guest's arguments as one command line.

use super::Options;
use crate::Failure;

/// The arguments joined by spaces, as the image splits them.
///
/// Visible ASCII only: the line goes through configurations and loaders that agree on nothing else.
pub fn command_line(options: &Options) -> Result<String, Failure> {
    for argument in &options.arguments {
        if argument.is_empty() || !argument.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "'{argument}' cannot be an argument: the image splits its command line at white space and knows no \
                 quotes; put it into a --config"
            ));
        }
    }
    Ok(options.arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expect: Option<&str>) {
        let arguments = arguments.iter().map(|&argument| argument.into()).collect();
        let line = command_line(&Options { arguments, ..Options::default() });
        assert_eq!(line.ok().as_deref(), expect);
    }

    #[test]
    fn arguments_survive_or_are_refused() {
        check(&[], Some(""));
        check(
            &["--ipv4=10.0.0.2/24", "--log-level=warn,dns=debug"],
            Some("--ipv4=10.0.0.2/24 --log-level=warn,dns=debug"),
        );
        check(&["two words"], None);
        check(&[""], None);
        check(&["--name=é"], None);
    }
}
