//! Corpora that are packages of Debian and Ubuntu.

use std::path::Path;

use super::{
    corpus::{Corpus, CorpusError, every_tenth},
    walk,
};

/// A package whose recordings are a corpus.
struct Package {
    /// The name by which it is asked for.
    name: &'static str,
    /// The name by which it is installed.
    package: &'static str,
    /// Where its recordings are.
    folder: &'static str,
}

/// All of one family, in any language.
const ASTERISK: &str = "asterisk-core-sounds";

const PACKAGES: [Package; 6] = [
    Package {
        name: "festvox-ru",
        package: "festvox-ru",
        folder: "usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav",
    },
    Package {
        name: "asterisk-core-sounds-en",
        package: "asterisk-core-sounds-en-wav",
        folder: "usr/share/asterisk/sounds/en_US_f_Allison",
    },
    Package {
        name: "asterisk-core-sounds-es",
        package: "asterisk-core-sounds-es-wav",
        folder: "usr/share/asterisk/sounds/es_MX_f_Allison",
    },
    Package {
        name: "asterisk-core-sounds-fr",
        package: "asterisk-core-sounds-fr-wav",
        folder: "usr/share/asterisk/sounds/fr_CA_f_June",
    },
    Package {
        name: "asterisk-core-sounds-it",
        package: "asterisk-core-sounds-it-wav",
        folder: "usr/share/asterisk/sounds/it_IT_m_Carlo",
    },
    Package {
        name: "asterisk-core-sounds-ru",
        package: "asterisk-core-sounds-ru-wav",
        folder: "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU",
    },
];

/// The names by which packages are asked for.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
    names.push(ASTERISK);
    names
}

/// The corpus of the package `name`, or of all of its family that are installed below `root`;
/// `None` if no package has that name.
pub(super) fn open(root: &Path, name: &str) -> Option<Result<Corpus, CorpusError>> {
    let wanted = |package: &&Package| match name {
        ASTERISK => package.name.starts_with(ASTERISK),
        _ => package.name == name,
    };
    let packages: Vec<&Package> = PACKAGES.iter().filter(wanted).collect();
    match packages.is_empty() {
        true => None,
        false => Some(gather(root, name, &packages)),
    }
}

fn gather(root: &Path, name: &str, packages: &[&Package]) -> Result<Corpus, CorpusError> {
    let mut files = Vec::new();
    let mut looked = Vec::new();
    for package in packages {
        let folder = root.join(package.folder);
        looked.push(folder.clone());
        if !folder.is_dir() {
            continue;
        }
        for path in walk::below(&folder)?.sounds {
            // Asterisk's seconds of nothing at all are no speech.
            let silence = path
                .parent()
                .is_some_and(|parent| parent.ends_with("silence"));
            if !silence {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        let names: Vec<&str> = packages.iter().map(|package| package.package).collect();
        let looked: Vec<String> = looked.iter().map(|p| p.display().to_string()).collect();
        return Err(CorpusError::NotInstalled {
            name: name.to_owned(),
            folders: looked.join(", "),
            command: format!("sudo apt-get install {}", names.join(" ")),
        });
    }
    files.sort();
    every_tenth(name, root, files)
}
