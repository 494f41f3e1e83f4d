//! How the game's file is recognised, and found; without the game.

use std::path::Path;

use frmdn_super_mario::{Rom, Version};

/// A file of a cartridge without a mapper that is not the game.
fn other_game() -> Vec<u8> {
    let mut file = b"NES\x1a\x02\x01\x01\0".to_vec();
    file.resize(16, 0);
    file.resize(16 + 0x8000 + 0x2000, 0xEA);
    file
}

fn refused(file: &[u8]) -> String {
    let dir = std::env::temp_dir().join(format!("frmdn-rom-{}-{}", std::process::id(), file.len()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("game.nes");
    std::fs::write(&path, file).unwrap();
    let error = Rom::load(&path).unwrap_err().to_string();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(error.contains("game.nes"), "{error}");
    error
}

#[test]
fn another_file_is_refused_with_its_hash_and_what_is_expected() {
    // sha1sum of 32 + 8 KiB of 0xEA.
    let error = refused(&other_game());
    for word in [
        "SHA-1 of its program and patterns is beec74773cfe25374f56149a187cbf650ddb7fdd",
        "0c4992fc…3598",
        "facee9c5…37f7",
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
    // With a trainer before it and a title behind it, it is the same program with the same patterns.
    let mut file = other_game();
    file[6] |= 4;
    file.splice(16..16, [0xAA; 512]);
    file.extend([0x55; 128]);
    assert!(refused(&file).contains("beec74773cfe25374f56149a187cbf650ddb7fdd"));
}

#[test]
fn what_is_no_cartridge_is_refused() {
    let whole = other_game();
    assert!(refused(&whole[..whole.len() - 1]).contains("its header asks for"));
    assert!(refused(b"PK\x03\x04").contains("does not begin with NES"));
    let missing = Rom::load(Path::new("nowhere.nes")).unwrap_err().to_string();
    assert!(missing.contains("nowhere.nes cannot be read"), "{missing}");
}

#[test]
fn the_game_is_found_inside_an_installed_package() {
    let root = std::env::temp_dir().join(format!("frmdn-find-{}", std::process::id()));
    let inside = "lib/python3.11/site-packages/gym_super_mario_bros/_roms";
    std::fs::create_dir_all(root.join(inside)).unwrap();
    assert_eq!(Rom::find(&root), None);
    let file = root.join(inside).join("super-mario-bros.nes");
    std::fs::write(&file, other_game()).unwrap();
    assert_eq!(Rom::find(&root), Some(file));
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(Rom::homebrew().version(), Version::Homebrew);
}
