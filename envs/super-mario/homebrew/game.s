; Ember Run: a platform game for consoles without a mapper.
;
; The vertical blank's interrupt only moves what is ready into video memory. The main loop waits for
; it, then for sprite 0, which ends the status line, and then plays the frame: memory is complete
; long before the next vertical blank.

.include "ram.inc"
.include "macros.inc"

.segment "HEADER"
    .byte "NES", $1A, 2, 1, 1, 0    ; 32 KiB, 8 KiB, vertical mirroring, mapper 0

.segment "CODE"

reset:
    sei
    cld
    ldx #$FF
    txs
    inx
    stx PPU_CTRL
    stx PPU_MASK
    stx $4010
@blank1:
    bit PPU_STATUS
    bpl @blank1
    txa
@clear:
    sta $000,x
    sta $100,x
    sta $200,x
    sta $300,x
    sta $400,x
    sta $500,x
    sta $600,x
    sta $700,x
    inx
    bne @clear
@blank2:
    bit PPU_STATUS
    bpl @blank2
    jsr title_load

main:
    lda #1
    sta ready
    lda nmis
@wait:
    cmp nmis
    beq @wait
    inc frame
    lda mode
    beq @pads
    ; The flag of the last picture has to go before that of this one can come.
@old_hit:
    bit PPU_STATUS
    bvs @old_hit
@hit:
    bit PPU_STATUS
    bvc @hit
    lda cam
    sta PPU_SCROLL
    lda #0
    sta PPU_SCROLL
    lda cam+1
    and #1
    ora #CTRL
    sta PPU_CTRL
@pads:
    jsr read_pad
    lda mode
    bne @play
    jsr title_update
    jmp main
@play:
    jsr play_update
    jmp main

; Reads the first controller.
read_pad:
    lda pad
    sta t0
    lda #1
    sta PAD
    sta pad                 ; ends the loop once it falls out
    lsr a
    sta PAD
@bit:
    lda PAD
    lsr a
    rol pad
    bcc @bit
    lda t0
    eor #$FF
    and pad
    sta pad_new
    rts

; A frame of the game.
play_update:
    lda state
    cmp #PLAYS
    bne @other
    jsr clock_update
    lda state
    cmp #PLAYS
    bne @draw
    jsr hero_update
    lda state
    cmp #PLAYS
    bne @draw               ; what has ended it cannot end again
    jsr enemies_update
    jsr pop_update
    jsr camera_update
@draw:
    jsr hero_draw
    jsr enemies_draw
    jsr flag_draw
    jmp pop_draw
@other:
    cmp #AT_FLAG
    bne @dies
    jmp flag_update
@dies:
    jmp death_update

; The vertical blank.
nmi:
    pha
    txa
    pha
    lda ready
    beq @scroll
    lda #0
    sta ready
    sta OAM_ADDR
    lda #>oam
    sta OAM_DMA
    lda mode
    bne @level
    jsr title_upload
    jmp @scroll
@level:
    jsr upload
@scroll:
    bit PPU_STATUS
    lda #0
    sta PPU_SCROLL
    sta PPU_SCROLL
    lda #CTRL
    sta PPU_CTRL
    inc nmis
    pla
    tax
    pla
irq:
    rti

.include "screen.s"
.include "level.s"
.include "hero.s"
.include "enemies.s"
.include "title.s"

.segment "VECTORS"
    .word nmi, reset, irq

.include "tiles.s"
