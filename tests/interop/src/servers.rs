//! Other servers of an origin than git daemon: git http-backend behind nginx, and OpenSSH with a forced command.

use crate::{Group, Origin, free_port, git_output, output, server, wait_for};
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// nginx with TLS and a password in front of git http-backend, which fcgiwrap runs.
pub struct Web {
    port: u16,
    authority: String,
    _groups: [Group; 2],
}

impl Web {
    /// Starts both.
    #[track_caller]
    pub fn new(origin: &Origin) -> Web {
        let (root, port) = (origin.root(), free_port());
        let mut openssl = Command::new("openssl");
        openssl.current_dir(root).args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=git", "-addext", "subjectAltName=IP:10.0.2.2"]);
        output(openssl.args(["-keyout", "key.pem", "-out", "certificate.pem"]));
        let certificate = fs::read_to_string(root.join("certificate.pem")).unwrap();
        // As a boot argument has it, which is one line.
        let authority = certificate.lines().filter(|line| !line.starts_with("---")).collect();
        fs::write(root.join("users"), "me:{PLAIN}pass@word\n").unwrap();
        fs::write(root.join("nginx.conf"), configuration(root, port)).unwrap();
        let socket = root.join("fcgi.sock");
        let mut wrapper = Command::new(server("fcgiwrap"));
        wrapper.args(["-c", "4", "-s"]).arg(format!("unix:{}", socket.display()));
        wrapper.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        let wrapper = Group::start(wrapper.stderr(Stdio::null()));
        wait_for("fcgiwrap listens", || socket.exists());
        let mut nginx = Command::new(server("nginx"));
        nginx.arg("-e").arg(root.join("error.log")).arg("-c").arg(root.join("nginx.conf"));
        let nginx = Group::start(&mut nginx);
        wait_for("nginx listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Web { port, authority, _groups: [nginx, wrapper] }
    }

    /// What an image needs to reach the repository.
    pub fn arguments(&self) -> Vec<String> {
        let url = format!("https://me:pass%40word@10.0.2.2:{}/zones.git#main", self.port);
        vec![format!("--remote={url}"), format!("--tls-ca={}", self.authority)]
    }
}

fn configuration(root: &Path, port: u16) -> String {
    let programs = git_output(root, &["--exec-path"]);
    let is_root = output(Command::new("id").arg("-u")) == "0";
    let user = if is_root { "user root;" } else { "" };
    let root = root.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {root}/{name}; "))
        .concat();
    format!(
        "{user} worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/error.log;
        events {{}}
        http {{
            access_log off; {temporary}
            server {{
                listen 127.0.0.1:{port} ssl http2;
                ssl_certificate {root}/certificate.pem; ssl_certificate_key {root}/key.pem;
                auth_basic git; auth_basic_user_file {root}/users;
                location / {{
                    fastcgi_pass unix:{root}/fcgi.sock;
                    fastcgi_param SCRIPT_FILENAME {programs}/git-http-backend;
                    fastcgi_param PATH_INFO $uri; fastcgi_param GIT_PROJECT_ROOT {root};
                    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
                    fastcgi_param REMOTE_USER $remote_user; fastcgi_param REMOTE_ADDR $remote_addr;
                    fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
                    fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
                }}
            }}
        }}"
    )
}

/// sshd, which runs git-shell and nothing else for whoever has the key.
pub struct Sshd {
    port: u16,
    key: String,
    fingerprint: String,
    user: String,
    path: PathBuf,
    _group: Group,
}

impl Sshd {
    /// With keys of this kind, as `ssh-keygen -t` names it.
    #[track_caller]
    pub fn new(origin: &Origin, kind: &str) -> Sshd {
        let (root, port) = (origin.root(), free_port());
        for name in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.current_dir(root).args(["-q", "-N", "", "-C", name, "-f", name, "-t", kind]);
            output(&mut keygen);
        }
        let public = fs::read_to_string(root.join("user.pub")).unwrap();
        let allowed = format!("restrict,command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\" {public}");
        fs::write(root.join("allowed"), allowed).unwrap();
        let path = |name: &str| root.join(name).display().to_string();
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nAcceptEnv GIT_PROTOCOL\n",
            path("host"),
            path("allowed"),
        );
        fs::write(root.join("sshd_config"), configuration).unwrap();
        // sshd wants it when it is started by root; Debian makes it when the service starts.
        let _ = fs::create_dir_all("/run/sshd");
        let mut sshd = Command::new(server("sshd"));
        sshd.arg("-D").arg("-f").arg(root.join("sshd_config")).stderr(Stdio::null());
        let group = Group::start(&mut sshd);
        wait_for("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let line = output(Command::new("ssh-keygen").arg("-lf").arg(root.join("host.pub")));
        Sshd {
            port,
            // What stands between the first line and the last: a boot argument has no blanks.
            key: fs::read_to_string(root.join("user"))
                .unwrap()
                .lines()
                .filter(|line| !line.starts_with("---"))
                .collect(),
            fingerprint: line.split(' ').nth(1).unwrap().to_string(),
            user: output(Command::new("id").arg("-un")),
            path: origin.path(),
            _group: group,
        }
    }

    /// What an image needs to reach the repository.
    pub fn arguments(&self) -> Vec<String> {
        let Sshd { port, key, fingerprint, user, path, .. } = self;
        let url = format!("ssh://{user}@10.0.2.2:{port}{}#main", path.display());
        vec![format!("--remote={url}"), format!("--ssh-key={key}"), format!("--ssh-host-key={fingerprint}")]
    }
}
