#!/bin/sh
# Assembles the game. Writes homebrew.nes beside the source, or the file that is named.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-"$here/homebrew.nes"}
object=$(mktemp)
trap 'rm -f "$object"' EXIT
ca65 -I "$here" -o "$object" "$here/game.s"
ld65 -C "$here/nrom.cfg" -o "$out" "$object"
