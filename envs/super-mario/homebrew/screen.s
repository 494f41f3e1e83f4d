; What is seen of a level: its columns, the status line, the scroll.

.segment "RODATA"

; Palettes: sky and ground, hedges and hills, stone, gold and text; hero, walker, spiked, hopper.
game_palette:
    .byte $21, $07, $18, $1A,  $21, $0B, $1A, $2A,  $21, $0F, $00, $10,  $21, $0F, $28, $30
    .byte $21, $06, $16, $30,  $21, $0F, $14, $35,  $21, $02, $16, $30,  $21, $0F, $29, $30

; Blocks of 16 x 16: their tiles are four times their number, and these their palettes.
.enum
    B_SKY
    B_GRASS
    B_EARTH
    B_RIM_LEFT
    B_RIM_RIGHT
    B_HEDGE_LEFT
    B_HEDGE_RIGHT
    B_STONE
    B_BRICK
    B_LUCKY
    B_USED
    B_COIN
    B_PLANK
    B_CLOUD_LEFT
    B_CLOUD
    B_CLOUD_RIGHT
    B_HILL_LEFT
    B_HILL
    B_HILL_RIGHT
    B_BUSH
    B_POLE
    B_KNOB
    B_WALL
    B_DOOR
    B_ROOF_LEFT
    B_ROOF_RIGHT
    B_LETTER_E
    B_LETTER_M
    B_LETTER_B
    B_LETTER_R
    B_LETTER_U
    B_LETTER_N
.endenum
block_palette:
    .byte 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 2, 3, 0, 3, 3, 3, 1, 1, 1, 1, 2, 3, 2, 2, 0, 0
    .byte 3, 3, 3, 3, 3, 3
; The block of each kind of BRICK, LUCKY, ...
kind_block:
    .byte B_BRICK, B_LUCKY, B_USED, B_COIN, B_PLANK

; Decoration, repeated every 32 columns: clouds and their rows (0 is the first below the status
; line), and what stands on flat ground in one row and in the next one above.
deco_cloud:
    .byte 0, 0, B_CLOUD_LEFT, B_CLOUD, B_CLOUD_RIGHT, 0, 0, 0
    .byte 0, B_CLOUD_LEFT, B_CLOUD_RIGHT, 0, 0, 0, 0, 0
    .byte B_CLOUD_LEFT, B_CLOUD, B_CLOUD, B_CLOUD_RIGHT, 0, 0, 0, 0
    .byte 0, 0, 0, B_CLOUD_LEFT, B_CLOUD_RIGHT, 0, 0, 0
deco_row:
    .byte 0, 0, 1, 1, 1, 0, 0, 0,  0, 3, 3, 0, 0, 0, 0, 0
    .byte 0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 2, 2, 0, 0, 0
deco_low:
    .byte B_HILL_LEFT, B_HILL, B_HILL, B_HILL_RIGHT, 0, 0, B_BUSH, B_BUSH
    .byte 0, 0, 0, B_HILL_LEFT, B_HILL_RIGHT, 0, 0, 0
    .byte 0, B_BUSH, 0, 0, B_HILL_LEFT, B_HILL, B_HILL, B_HILL
    .byte B_HILL, B_HILL_RIGHT, 0, 0, B_BUSH, B_BUSH, B_BUSH, 0
deco_high:
    .byte 0, B_HILL_LEFT, B_HILL_RIGHT, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0
    .byte 0, 0, 0, 0, 0, B_HILL_LEFT, B_HILL, B_HILL,  B_HILL_RIGHT, 0, 0, 0, 0, 0, 0, 0

.charmap ' ', $E4
.charmap '-', $E5
.charmap '*', $E6
.charmap ':', $E7
; By their codes: a letter that is mapped already would be mapped again.
.repeat 10, i
    .charmap $30 + i, $C0 + i
.endrepeat
.repeat 26, i
    .charmap $41 + i, $CA + i
.endrepeat
DIGITS = $C0
; The status line: four rows, of which the second has text and the third is written every frame.
status_text:
    .byte "   SCORE        COINS     TIME  "
    .byte "   000000       *:00      000   "
SCORE_AT = $2043
COINS_AT = $2052
TIME_AT  = $205A

.segment "CODE"

; Writes a byte to video memory `count` times.
.macro fill count
    .local again
    ldx #count
again:
    sta PPU_DATA
    dex
    bne again
.endmacro

.macro video address
    lda #>(address)
    sta PPU_ADDR
    lda #<(address)
    sta PPU_ADDR
.endmacro

; Shows nothing, and no interrupts come.
screen_off:
    lda #CTRL & $7F
    sta control
    sta PPU_CTRL
    lda #0
    sta PPU_MASK
    rts

; Shows everything from the next vertical blank on.
screen_on:
    bit PPU_STATUS
@blank:
    bit PPU_STATUS
    bpl @blank
    lda #0
    sta OAM_ADDR
    lda #>oam
    sta OAM_DMA
    lda #0
    sta PPU_SCROLL
    sta PPU_SCROLL
    lda #CTRL
    sta control
    sta PPU_CTRL
    lda #MASK
    sta PPU_MASK
    rts

; Hides all sprites.
oam_clear:
    lda #$FF
    ldx #0
@next:
    sta oam,x
    inx
    bne @next
    rts

; Draws the status line and the first columns. Nothing is shown meanwhile.
screen_load:
    video $3F00
    ldx #0
@palette:
    lda game_palette,x
    sta PPU_DATA
    inx
    cpx #32
    bne @palette
    video $2000
    lda #' '
    fill 32
    ldx #0
@text:
    lda status_text,x
    sta PPU_DATA
    inx
    cpx #64
    bne @text
    lda #' '
    fill 32
    video $23C0
    lda #$FF                ; gold and text
    fill 8
    jsr oam_clear
    ; Sprite 0: a dot on the last line of the status line, behind it.
    ldx #3
@dot:
    lda hit_sprite,x
    sta oam,x
    dex
    bpl @dot
    lda #0
    sta next_column
    sta patch_full
@column:
    jsr column_build
    jsr column_write
    lda next_column
    cmp #20
    bne @column
    rts

hit_sprite:
    .byte 15, 1, $23, 16

; The vertical blank of a level: numbers, a column or a changed block.
upload:
    video TIME_AT
    .repeat 3, i
        lda time + i
        ora #DIGITS
        sta PPU_DATA
    .endrepeat
    video COINS_AT
    .repeat 2, i
        lda coins + i
        ora #DIGITS
        sta PPU_DATA
    .endrepeat
    video SCORE_AT
    .repeat 6, i
        lda score + i
        ora #DIGITS
        sta PPU_DATA
    .endrepeat
    lda column_full
    beq @patch
    jmp column_write
@patch:
    lda patch_full
    beq @done
    lda #0
    sta patch_full
    ldx patch_tile
    lda patch_at+1
    sta PPU_ADDR
    lda patch_at
    sta PPU_ADDR
    stx PPU_DATA
    inx
    inx
    stx PPU_DATA
    dex
    lda patch_at+1
    sta PPU_ADDR
    lda patch_at
    ora #$20                ; the lower half; blocks begin in even rows
    sta PPU_ADDR
    stx PPU_DATA
    inx
    inx
    stx PPU_DATA
@done:
    rts

; Writes the column that waits into video memory.
column_write:
    lda control
    ora #CTRL_DOWN
    sta PPU_CTRL
    lda column_at+1
    sta PPU_ADDR
    lda column_at
    sta PPU_ADDR
    ldx #0
@left:
    lda tiles,x
    sta PPU_DATA
    inx
    cpx #26
    bne @left
    lda column_at+1
    sta PPU_ADDR
    lda column_at
    ora #1
    sta PPU_ADDR
@right:
    lda tiles,x
    sta PPU_DATA
    inx
    cpx #52
    bne @right
    lda control
    sta PPU_CTRL
    ldx #1
@attribute:
    lda attr_at+1
    sta PPU_ADDR
    lda attr_at
    sta PPU_ADDR
    clc
    adc #8
    sta attr_at
    lda attrs,x
    sta PPU_DATA
    inx
    cpx #8
    bne @attribute
    lda #0
    sta column_full
    rts

; Lets the camera follow the hero, never back, and draws the next column where it is time to.
camera_update:
    lda x_pos
    sec
    sbc #112
    sta t0
    lda page
    sbc #0
    bcc @draw               ; near the beginning
    sta t1
    ; Not beyond the end, and only forwards.
    cmp #>LAST_CAM
    bcc @forward
    lda #<LAST_CAM
    sta t0
    lda #>LAST_CAM
    sta t1
@forward:
    lda t0
    cmp cam
    lda t1
    sbc cam+1
    bcc @draw
    lda t0
    sta cam
    lda t1
    sta cam+1
@draw:
    lda column_full
    bne @done
    ; The picture's first column, and 19 more.
    lda cam
    sta t0
    lda cam+1
    .repeat 4
        lsr a
        ror t0
    .endrepeat
    lda t0
    clc
    adc #19
    cmp next_column
    bcc @done
    lda next_column
    cmp #COLUMNS
    bcs @done
    jmp column_build
@done:
    rts

; Makes the tiles of the next column ready, and its enemy.
column_build:
    jsr column_rows
    ; Where it is in video memory: its tiles from the third block row on, and its attributes.
    lda next_column
    and #$10
    lsr a
    lsr a
    ora #$20
    sta column_at+1
    ora #$03
    sta attr_at+1
    lda next_column
    and #$0F
    lsr a
    ora #$C8                ; the second row of attributes
    sta attr_at
    lda next_column
    and #$0F
    asl a
    ora #$80
    sta column_at
    ; Tiles.
    ldx #0
    ldy #0
@tiles:
    lda rows,y
    asl a
    asl a
    sta tiles,x
    ora #1
    sta tiles+1,x
    eor #3
    sta tiles+26,x
    ora #1
    sta tiles+27,x
    inx
    inx
    iny
    cpy #13
    bne @tiles
    ; Attributes: a byte for two by two blocks. An odd column adds to those of the even one before.
    ldx #0
    ldy #1
@attribute:
    lda rows,x              ; even rows of the picture are the upper ones
    jsr palette_of
    sta t0
    lda #0
    inx
    cpx #13
    bcs @last
    lda rows,x
    jsr palette_of
    asl a
    asl a
    asl a
    asl a
@last:
    ora t0
    sta t0
    lda next_column
    lsr a
    lda t0
    bcc @even
    asl a
    asl a
    ora attrs,y
@even:
    sta attrs,y
    inx
    iny
    cpy #8
    bne @attribute
    jsr enemy_spawn
    inc next_column
    inc column_full
    rts

palette_of:
    sty t1
    tay
    lda block_palette,y
    ldy t1
    rts

; Finds the blocks of column `next_column`, from above: rows[12] is the lowest.
column_rows:
    ldx #12
    lda #B_SKY
@clear:
    sta rows,x
    dex
    bpl @clear
    ; Clouds and hills begin elsewhere in each level.
    lda next_column
    clc
    adc level_seed
    and #31
    tay
    lda deco_cloud,y
    beq @hills
    ldx deco_row,y
    sta rows,x
@hills:
    ldx next_column
    lda solid,x
    and #$7F
    cmp #GROUND             ; flat, and nothing stands on it
    bne @ground
    lda deco_low,y
    sta rows+9
    lda deco_high,y
    sta rows+8
@ground:
    lda solid,x
    and #$0F
    beq @block
    sta t0                  ; height
    lda solid,x
    and #$70
    sta t1                  ; look
    lda #12
    sec
    sbc t0
    tax
    inx                     ; the highest row of it
    ldy #B_GRASS
    lda t1
    beq @top
    ldy #B_RIM_LEFT
    cmp #HEDGE_LEFT
    beq @top
    ldy #B_RIM_RIGHT
    cmp #HEDGE_RIGHT
    beq @top
    ldy #B_STONE
@top:
    tya
    sta rows,x
    ldy #B_EARTH
    lda t1
    beq @body
    ldy #B_HEDGE_LEFT
    cmp #HEDGE_LEFT
    beq @body
    ldy #B_HEDGE_RIGHT
    cmp #HEDGE_RIGHT
    beq @body
    ldy #B_STONE
@body:
    sty t2
@next:
    inx
    cpx #13
    bcs @block
    lda t2
    cpx #10
    bcc @put
    lda #B_EARTH            ; what hedges and stones stand in
@put:
    sta rows,x
    jmp @next
@block:
    ldx next_column
    lda blocks,x
    and #$0F
    beq @flag
    sta t0
    lda blocks,x
    and #$70
    lsr a
    lsr a
    lsr a
    lsr a
    tay
    lda #13
    sec
    sbc t0
    tax
    lda kind_block,y
    sta rows,x
@flag:
    lda next_column
    cmp #FLAG_COLUMN
    bcc @done
    bne @house
    ; The pole on its stone.
    lda #B_KNOB
    sta rows+1
    lda #B_POLE
    ldx #2
@pole:
    sta rows,x
    inx
    cpx #9
    bne @pole
    lda #B_STONE
    sta rows+9
    rts
@house:
    sec
    sbc #FLAG_COLUMN + 3
    cmp #4
    bcs @done
    asl a
    asl a
    tay
    ldx #6
@wall:
    lda house,y
    sta rows,x
    iny
    inx
    cpx #10
    bne @wall
@done:
    rts

.segment "RODATA"
; The hut beside the flag: four columns of four blocks.
house:
    .byte B_SKY, B_ROOF_LEFT, B_WALL, B_WALL
    .byte B_ROOF_LEFT, B_EARTH, B_WALL, B_DOOR
    .byte B_ROOF_RIGHT, B_EARTH, B_WALL, B_WALL
    .byte B_SKY, B_ROOF_RIGHT, B_WALL, B_WALL
.segment "CODE"

; Shows another block in the level: `t4` its column, `t5` its row in the picture, A the block.
patch:
    asl a
    asl a
    sta patch_tile
    ; Two rows of tiles for each of blocks: address 64 * row + 2 * column.
    lda t5
    lsr a
    lsr a
    sta patch_at+1
    lda t4
    and #$10
    lsr a
    lsr a
    ora #$20
    ora patch_at+1
    sta patch_at+1
    lda t5
    and #3
    lsr a
    ror a
    ror a
    sta patch_at
    lda t4
    and #$0F
    asl a
    ora patch_at
    sta patch_at
    lda #1
    sta patch_full
    rts
