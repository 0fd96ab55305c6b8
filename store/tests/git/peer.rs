//! git itself, as a process, in a directory of its own.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use store::{Format, ObjectId};

/// A bare repository of git's, gone when it is dropped.
pub struct Git(pub PathBuf);

impl Git {
    pub fn new(name: &str, format: Format) -> Self {
        let path =
            std::env::temp_dir().join(format!("store-{}-{name}-{}", format.name(), std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let git = Self(path);
        let format = format!("--object-format={}", format.name());
        git.run(&["init", "-q", "--bare", "-b", "main", &format, "."], b"");
        git
    }

    /// What git prints.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        run(&self.0, arguments, input)
    }

    #[track_caller]
    pub fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments, b"")).unwrap().trim().to_owned()
    }

    /// Makes `commits` commits, each a change of a file or two, with a merge now and then.
    pub fn fill(&self, commits: usize) {
        let mut stream = Vec::new();
        for number in 1..=commits {
            let seconds = 1_700_000_000 + number * 60;
            let text = format!("commit {number}\n\nBecause.\n");
            writeln!(stream, "commit refs/heads/main\nmark :{number}").unwrap();
            writeln!(stream, "author Ä. Author <a@example.com> {} +0130", seconds - 5).unwrap();
            writeln!(stream, "committer C <c@example.com> {seconds} -0800").unwrap();
            write!(stream, "data {}\n{text}", text.len()).unwrap();
            // Every ninth of ten forks off, and every tenth joins it.
            let parent = match number % 10 {
                9 if number > 10 => number - 5,
                0 => number - 2,
                _ => number - 1,
            };
            if parent > 0 {
                writeln!(stream, "from :{parent}").unwrap();
            }
            if number % 10 == 0 {
                writeln!(stream, "merge :{}", number - 1).unwrap();
            }
            let content = format!("line {number}\n").repeat(20) + &"the same again and again\n".repeat(50);
            let path = format!("d{}/e{}/f{}", number % 3, number % 5, number % 7);
            writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()).unwrap();
            writeln!(stream, "M 100755 inline run\ndata 3\nx{}\n", number % 9).unwrap();
        }
        self.run(&["fast-import", "--quiet"], &stream);
    }

    /// A pack of everything that `revisions` name.
    pub fn pack(&self, options: &[&str], revisions: &str) -> Vec<u8> {
        let arguments = [&["pack-objects", "--revs", "--stdout", "-q"], options].concat();
        self.run(&arguments, revisions.as_bytes())
    }

    pub fn id(&self, revision: &str) -> ObjectId {
        self.text(&["rev-parse", revision]).parse().unwrap()
    }

    /// Takes a pack of ours as its own, and lets the strictest check judge everything.
    #[track_caller]
    pub fn take(&self, pack: &[u8], branch: &str, head: &ObjectId) {
        self.run(&["index-pack", "--strict", "--stdin", "--fix-thin"], pack);
        self.run(&["update-ref", &format!("refs/heads/{branch}"), &head.to_string()], b"");
        let verdict = self.text(&["fsck", "--full", "--strict", "--no-dangling"]);
        assert_eq!(verdict, "");
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn run(directory: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(directory).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", directory);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(variable);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    // fsck says what it finds on either.
    if arguments[0] == "fsck" { [output.stdout, output.stderr].concat() } else { output.stdout }
}
