//! scratch
use frmdn_nes::{Cartridge, Nes, Picture};
use std::{io::Write, sync::Arc, time::Instant};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rom = std::fs::read(&args[1]).unwrap();
    let inputs = std::fs::read(&args[2]).unwrap();
    let mut nes = Nes::new(Arc::new(Cartridge::new(&rom).unwrap()));
    if args.len() > 3 {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&args[3]).unwrap());
        let mut picture = Picture::default();
        for b in &inputs {
            nes.play(*b, (args.len() > 4).then_some(&mut picture));
            out.write_all(nes.ram()).unwrap();
            if args.len() > 4 {
                out.write_all(picture.colours()).unwrap();
            }
        }
    }
    let mut nes = Nes::new(Arc::new(Cartridge::new(&rom).unwrap()));
    let began = Instant::now();
    for _ in 0..20 {
        for b in &inputs {
            nes.frame(*b);
        }
    }
    println!(
        "{:.0} frames/s",
        20.0 * inputs.len() as f64 / began.elapsed().as_secs_f64()
    );
}
