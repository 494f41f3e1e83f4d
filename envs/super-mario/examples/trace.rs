//! scratch: ROM STAGE(1-1) BUTTONS-FILE
use frmdn_super_mario::{Game, Rom, Status};
use std::path::Path;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rom = Rom::load(Path::new(&args[1])).unwrap();
    let mut game = Game::new(&rom, args[2].parse().unwrap()).unwrap();
    for b in std::fs::read(&args[3]).unwrap() {
        let f = game.frame(b, None);
        let i = f.info;
        println!(
            "{} {} {} {} {} {} {} {} {} {} {} {}",
            f.reward,
            u8::from(f.done),
            i.coins,
            u8::from(i.flag_get),
            i.life,
            i.score,
            i.stage,
            match i.status {
                Status::Small => "small",
                Status::Tall => "tall",
                Status::Fireball => "fireball",
            },
            i.time,
            i.world,
            i.x_pos,
            i.y_pos
        );
        if f.done {
            game.reset();
        }
    }
}
