; The title: the name of the game, the number of the level, and Start.

.segment "RODATA"
title_palette:
    .byte $21, $07, $18, $1A,  $21, $0B, $1A, $2A,  $21, $0F, $00, $10,  $21, $21, $28, $30
    .byte $21, $06, $16, $30,  $21, $0F, $14, $35,  $21, $02, $16, $30,  $21, $0F, $29, $30
title_start:
    .byte "PRESS START"
title_level:
    .byte "LEVEL"
title_keys:
    .byte "UP AND DOWN CHOOSE"
; Rows 3 and 5 of blocks.
title_name:
    .byte B_LETTER_E, B_LETTER_M, B_LETTER_B, B_LETTER_E, B_LETTER_R
title_name_2:
    .byte B_LETTER_R, B_LETTER_U, B_LETTER_N
NUMBER_AT = $222F

.segment "CODE"

.macro text address, from, count
    .local again
    video address
    ldx #0
again:
    lda from,x
    sta PPU_DATA
    inx
    cpx #count
    bne again
.endmacro

; A row of blocks at tile address `address`: `count` of them from `from`.
.macro block_row address, from, count
    .local upper, lower
    video address
    ldx #0
upper:
    lda from,x
    asl a
    asl a
    sta PPU_DATA
    ora #2
    sta PPU_DATA
    inx
    cpx #count
    bne upper
    video address + 32
    ldx #0
lower:
    lda from,x
    asl a
    asl a
    ora #1
    sta PPU_DATA
    ora #2
    sta PPU_DATA
    inx
    cpx #count
    bne lower
.endmacro

title_load:
    jsr screen_off
    sta mode
    sta state
    sta time
    sta time+1
    sta time+2
    jsr oam_clear
    video $3F00
    ldx #0
@palette:
    lda title_palette,x
    sta PPU_DATA
    inx
    cpx #32
    bne @palette
    ; A flat level is its background: hills, clouds and ground.
    lda #0
    sta level_seed
    sta next_column
    ldx #COLUMNS
@flat:
    lda #GROUND
    sta solid-1,x
    lda #0
    sta blocks-1,x
    dex
    bne @flat
@column:
    jsr column_build
    jsr column_write
    lda next_column
    cmp #16
    bne @column
    ; Sky above it, and gold for the name and the texts.
    video $2000
    lda #B_SKY * 4
    fill 128
    video $23C8
    lda #$FF
    fill 32
    block_row $210B, title_name, 5
    block_row $218D, title_name_2, 3
    text $21EA, title_start, 11
    text $2229, title_level, 5
    text $2267, title_keys, 18
    jsr title_upload
    ; The hero waits.
    lda #56
    sta x_pos
    lda #(15 - GROUND) * 16 - 16
    sta y_pos
    lda #0
    sta float
    sta x_speed
    sta facing
    sta page
    sta cam
    sta cam+1
    jsr hero_draw
    jmp screen_on

; Shows the number of the level, in eight digits.
title_upload:
    video NUMBER_AT
    .repeat 4, i
        lda seed + 3 - i
        lsr a
        lsr a
        lsr a
        lsr a
        ora #DIGITS
        sta PPU_DATA
        lda seed + 3 - i
        and #$0F
        ora #DIGITS         ; A to F follow 9
        sta PPU_DATA
    .endrepeat
    rts

title_update:
    lda pad_new
    and #BUTTON_UP
    beq @down
    inc seed
@down:
    lda pad_new
    and #BUTTON_DOWN
    beq @start
    dec seed
@start:
    lda pad_new
    and #BUTTON_START
    beq @done
    ldx #3
@seed:
    lda seed,x
    sta level_seed,x
    dex
    bpl @seed
    lda #0
    ldx #5
@score:
    sta score,x
    dex
    bpl @score
    sta coins
    sta coins+1
    sta level
    sta world
    sta area
    lda #2
    sta lives
    jmp level_begin
@done:
    rts
