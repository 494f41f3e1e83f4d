//! The Python interpreter, the versions of its packages, and how to install missing ones.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{GymError, Launch, REQUIREMENTS, REQUIREMENTS_MARIO, SERVER, process::Server};

/// The virtual environment that [`install`] makes, searched in the current folder.
const VENV: &str = "gym-env";

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// Its path.
    pub program: PathBuf,
}

impl Python {
    /// The interpreter for gym:`id`: `named`, else that of `FRMDN_PYTHON`, of an activated virtual
    /// environment, of `gym-env` in the current folder, or `python3` or `python` on the path.
    ///
    /// # Errors
    /// If none of them exists.
    pub fn find(named: Option<&Path>, id: &str) -> Result<Self, GymError> {
        if let Some(program) = named {
            return Ok(Self {
                program: program.to_path_buf(),
            });
        }
        if let Some(program) = std::env::var_os("FRMDN_PYTHON") {
            return Ok(Self {
                program: program.into(),
            });
        }
        let inside = |venv: PathBuf| {
            if cfg!(windows) {
                venv.join("Scripts/python.exe")
            } else {
                venv.join("bin/python")
            }
        };
        let active = std::env::var_os("VIRTUAL_ENV").map(|venv| inside(venv.into()));
        let folders = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
            .unwrap_or_default();
        let names = if cfg!(windows) {
            ["python.exe", "python3.exe"]
        } else {
            ["python3", "python"]
        };
        let on_path = names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let candidates = active
            .into_iter()
            .chain([inside(VENV.into())])
            .chain(on_path);
        candidates
            .into_iter()
            .find(|program| program.is_file())
            .map(|program| Self { program })
            .ok_or_else(|| GymError::NoPython {
                looked: format!(
                    "FRMDN_PYTHON, VIRTUAL_ENV, {VENV} here, and {} on the path",
                    names.join(" and ")
                ),
                id: id.to_owned(),
            })
    }

    /// The command that starts the server with this interpreter.
    pub fn launch(&self) -> Launch {
        // The source is an argument, not a file: Python would search modules beside a file first,
        // where others may have put some, and a file would stay behind when this process is killed.
        Launch::new(self.program.clone(), ["-c".into(), SERVER.into()])
    }

    /// Versions of Python and of the packages that determine what environments do. Starts a server.
    ///
    /// # Errors
    /// If the server cannot be started, or if it does not reply within `deadline`.
    pub fn versions(&self, deadline: Duration) -> Result<BTreeMap<String, String>, GymError> {
        let server = Server::start("(any)", &self.launch())?;
        Ok(server.hello(deadline)?.versions)
    }
}

/// The commands that install what gym:`id` needs into a virtual environment made with `program`.
pub fn install(program: &str, id: &str) -> String {
    let requirements = if id.starts_with("SuperMarioBros") {
        REQUIREMENTS_MARIO
    } else {
        REQUIREMENTS
    };
    let packages = requirements
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("\"{line}\""))
        .collect::<Vec<_>>();
    let folder = if cfg!(windows) {
        format!("{VENV}\\Scripts")
    } else {
        format!("{VENV}/bin")
    };
    let python = if cfg!(windows) {
        format!("{folder}\\python.exe")
    } else {
        format!("{folder}/python")
    };
    format!(
        "  {program} -m venv {VENV}\n  {python} -m pip install {}\nand the same command again",
        packages.join(" ")
    )
}
