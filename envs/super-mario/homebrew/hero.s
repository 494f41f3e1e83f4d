; The hero: a small fox that runs, jumps and dies.

WALK        = 24            ; fastest walk, 1/16 pixel a frame
RUN         = 36            ; fastest run
JUMP        = $0440         ; speed of a jump from below SPRINT, 1/256 pixel a frame
LONG_JUMP   = $04A0         ; and from above it
SPRINT      = 30
EARLY       = 5             ; frames that A may be pressed before the ground is reached
LATE        = 4             ; frames after it was left in which a jump still begins
BOUNCE      = $0300         ; after a stomp
LIGHT       = $28           ; gravity while A is held on the way up
HEAVY       = $60           ; and otherwise
FASTEST     = $04           ; fall, pixels a frame

.enum
    S_DOT
    S_STAND
    S_WALK
    S_STRIDE
    S_JUMP
    S_DEAD
    S_WALKER
    S_FLAT
    S_SPIKED
    S_HOPPER
    S_LEAP
    S_FLAG
    S_COIN
.endenum

.segment "CODE"

; Begins the level: the hero on the ground, the clock full.
hero_begin:
    ldx #ENEMIES - 1
    lda #0
@enemy:
    sta kind,x
    dex
    bpl @enemy
    sta page
    sta x_sub
    sta x_speed
    sta y_sub
    sta y_speed
    sta y_speed+1
    sta float
    sta facing
    sta cam
    sta cam+1
    sta pop_time
    sta pressed
    sta stood
    lda #40
    sta x_pos
    lda #(15 - GROUND) * 16 - 16
    sta y_pos
    lda #1
    sta viewport
    lda #3 * 16
    sta flag_y
    lda #PLAYS
    sta state
    lda #4
    sta time
    lda #0
    sta time+1
    sta time+2
    lda #2
    sta tick
    rts

; The clock: a unit every 24 frames.
clock_update:
    dec tick
    bne @done
    lda #24
    sta tick
    ldx #2
@digit:
    dec time,x
    bpl @check
    lda #9
    sta time,x
    dex
    bpl @digit
@check:
    lda time
    ora time+1
    ora time+2
    bne @done
    jsr die
@done:
    rts

; Adds A to digit X of the score, with what is carried.
score_add:
    clc
    adc score,x
    cmp #10
    bcc @put
    sbc #10
    sta score,x
    lda #1
    dex
    bpl score_add
    rts
@put:
    sta score,x
    rts

; One more coin, and 200 points.
coin_add:
    ldx #3
    lda #2
    jsr score_add
    inc coins+1
    lda coins+1
    cmp #10
    bne @done
    lda #0
    sta coins+1
    inc coins
    lda coins
    cmp #10
    bne @done
    lda #0
    sta coins
@done:
    rts

; The hero dies of something else than a pit.
die:
    lda #DYING
    sta state
    lda #60
    sta wait
    rts

; Is there something solid in column X, at y = A? Carry says so. t6 is its row.
is_solid:
    lsr a
    lsr a
    lsr a
    lsr a
    sta t6
    cmp #15
    bcs @free               ; below the picture
    lda #14
    sec
    sbc t6
    sta t3                  ; rows below it
    lda solid,x
    and #$0F
    clc                     ; solid where the height is above t3
    sbc t3
    bcs @yes
    lda blocks,x
    and #$0F
    beq @free
    sec
    sbc #1
    cmp t3
    bne @free
    lda blocks,x
    and #$70
    cmp #COIN
    beq @free
@yes:
    sec
    rts
@free:
    clc
    rts

; The column of the hero's x plus A, in X. t0 and t1 are that x.
column_of:
    clc
    adc x_pos
    sta t0
    lda page
    adc #0
    sta t1
    lda t0
    lsr a
    lsr a
    lsr a
    lsr a
    sta t2
    lda t1
    asl a
    asl a
    asl a
    asl a
    ora t2
    tax
    rts

hero_update:
    jsr hero_speed
    jsr hero_sideways
    jsr hero_jump
    jsr hero_down
    jsr hero_collect
    ; The flag, at any height.
    lda x_pos
    cmp #<FLAG_X
    lda page
    sbc #>FLAG_X
    bcc @done
    jmp flag_begin
@done:
    rts

; Left and right change the speed.
hero_speed:
    lda #WALK
    sta t0
    lda pad
    and #BUTTON_B
    beq @walks
    lda #RUN
    sta t0
@walks:
    lda pad
    and #BUTTON_LEFT | BUTTON_RIGHT
    beq @slow
    cmp #BUTTON_RIGHT
    beq @right
    cmp #BUTTON_LEFT
    bne @slow               ; both
    lda #$40
    sta facing
    jsr @turn
    jsr @faster
@turn:
    lda #0
    sec
    sbc x_speed
    sta x_speed
    rts
@right:
    lda #0
    sta facing
@faster:
    lda x_speed
    bmi @brake
    cmp t0
    beq @set
    bcs @too_fast
    adc #2
    cmp t0
    bcc @set
    lda t0
@set:
    sta x_speed
    rts
@too_fast:
    dec x_speed
    rts
@brake:
    clc
    adc #3
    sta x_speed
    rts
@slow:
    lda float
    bne @done
    lda x_speed
    beq @done
    bmi @left
    sec
    sbc #2
    bcs @set
    lda #0
    beq @set
@left:
    clc
    adc #2
    bcc @set
    lda #0
    beq @set
@done:
    rts

; Moves the hero sideways, up to walls and to the left edge of the picture.
hero_sideways:
    lda x_speed
    bne @moves
    rts
@moves:
    asl a
    asl a
    asl a
    asl a
    sta t0
    lda x_speed
    cmp #$80                ; its sign
    ror a
    cmp #$80
    ror a
    cmp #$80
    ror a
    cmp #$80
    ror a
    sta t1
    ldx #0
    cmp #$80
    bcc @add
    dex
@add:
    stx t2
    lda x_sub
    clc
    adc t0
    sta x_sub
    lda x_pos
    adc t1
    sta x_pos
    lda page
    adc t2
    sta page
    ; The left edge of the picture.
    lda x_pos
    cmp cam
    lda page
    sbc cam+1
    bpl @inside             ; the difference is small and may be negative
    lda cam
    sta x_pos
    lda cam+1
    sta page
    jmp @stop
@inside:
    lda x_speed
    bmi @left
    lda #12
    jsr @wall
    bcc @done
    lda t0
    and #$F0
    sec
    sbc #13
    sta x_pos
    lda t1
    sbc #0
    sta page
    jmp @stop
@left:
    lda #3
    jsr @wall
    bcc @done
    lda t0
    ora #$0F
    sec
    sbc #2
    sta x_pos
    lda t1
    sbc #0
    sta page
@stop:
    lda #0
    sta x_speed
    sta x_sub
@done:
    rts
; Is there a wall A pixels to the right of the hero's x?
@wall:
    jsr column_of
    lda y_pos
    clc
    adc #2
    jsr is_solid
    bcs @is
    lda y_pos
    clc
    adc #14
    jmp is_solid
@is:
    rts

; A jump begins where the hero stands or stood a moment ago, and A was pressed a moment ago.
hero_jump:
    lda pad_new
    bpl @old
    lda #EARLY
    sta pressed
@old:
    lda pressed
    beq @done
    dec pressed
    lda stood
    beq @done
    lda #0
    sta pressed
    sta stood
    lda #1
    sta float
    ldx #<-JUMP
    ldy #>-JUMP
    lda x_speed
    bpl @forwards
    eor #$FF
@forwards:
    cmp #SPRINT
    bcc @set
    ldx #<-LONG_JUMP
    ldy #>-LONG_JUMP
@set:
    stx y_speed
    sty y_speed+1
@done:
    rts

; Gravity, ground, blocks above, pits.
hero_down:
    ldx #HEAVY
    lda y_speed+1
    bpl @fall
    lda pad
    bpl @fall               ; A is not held
    ldx #LIGHT
@fall:
    txa
    clc
    adc y_speed
    sta y_speed
    lda y_speed+1
    adc #0
    sta y_speed+1
    bmi @rises
    cmp #FASTEST
    bcc @falls
    lda #0
    sta y_speed
    lda #FASTEST
    sta y_speed+1
@falls:
    jsr @move
    lda y_pos
    cmp #240
    bcs @below
    lda #3
    jsr @feet
    bcs @stands
    lda #12
    jsr @feet
    bcs @stands
    lda #1
    sta float
    lda stood
    beq @falling
    dec stood
@falling:
    rts
@stands:
    lda #LATE
    sta stood
    lda y_pos
    and #$F0
    sta y_pos
    lda #0
    sta y_sub
    sta y_speed
    sta y_speed+1
    sta float
    rts
@below:
    lda #2
    sta viewport
    lda #60
    sta wait
    lda #DEAD
    sta state
    rts
@feet:
    jsr column_of
    lda y_pos
    clc
    adc #16
    jmp is_solid
@rises:
    jsr @move
    lda y_pos
    cmp #24
    bcs @room
    lda #24
    sta y_pos
    bne @bump
@room:
    lda #8
    jsr @head
    bcs @hit
    lda #4
    jsr @head
    bcs @hit
    lda #11
    jsr @head
    bcs @hit
    rts
@hit:
    jsr block_hit
    lda y_pos
    ora #$0F
    sta y_pos
    inc y_pos
@bump:
    lda #0
    sta y_sub
    sta y_speed
    sta y_speed+1
    rts
@head:
    jsr column_of
    lda y_pos
    jmp is_solid
@move:
    lda y_sub
    clc
    adc y_speed
    sta y_sub
    lda y_pos
    adc y_speed+1
    sta y_pos
    rts

; The hero's head hits column X at row t6. A lucky block gives its coin.
block_hit:
    lda blocks,x
    and #$70
    cmp #LUCKY
    bne @done
    lda blocks,x
    and #$8F
    ora #USED
    sta blocks,x
    stx t4
    lda t6
    sta t5
    lda #B_USED
    jsr patch
    ; Its coin jumps out.
    lda t4
    asl a
    asl a
    asl a
    asl a
    sec
    sbc cam
    sta pop_x
    lda t5
    asl a
    asl a
    asl a
    asl a
    sec
    sbc #16
    sta pop_y
    lda #16
    sta pop_time
    jmp coin_add
@done:
    rts

; A coin at the hero's middle is taken.
hero_collect:
    lda #8
    jsr column_of
    lda blocks,x
    and #$70
    cmp #COIN
    bne @done
    lda y_pos
    clc
    adc #8
    lsr a
    lsr a
    lsr a
    lsr a
    sta t5
    lda #15
    sec
    sbc t5
    sta t6
    lda blocks,x
    and #$0F
    cmp t6
    bne @done
    lda blocks,x
    and #$80
    sta blocks,x
    stx t4
    lda #B_SKY
    jsr patch
    jmp coin_add
@done:
    rts

; Draws the hero.
hero_draw:
    lda #S_JUMP * 4
    ldx float
    bne @draw
    lda #S_STAND * 4
    ldx x_speed
    beq @draw
    lda x_pos
    lsr a
    lsr a
    lsr a
    bcc @stride
    lda #S_WALK * 4
    bne @draw
@stride:
    lda #S_STRIDE * 4
@draw:
    sta t4
    lda y_pos
    sta t2
    lda facing
    sta t5
    lda x_pos
    sec
    sbc cam
    sta t0
    lda #0
    sta t1
    ldx #OAM_HERO
    jmp object_draw

; Draws a picture of 16 x 16 at x = t0 (two bytes, from the picture's edge) and y = t2: its first
; tile is t4, its palette and flip t5, its place in the list of sprites X.
object_draw:
    ldy t2
    dey                     ; sprites are seen one line further down
    tya
    sta oam,x
    sta oam+4,x
    lda t5
    sta oam+2,x
    sta oam+6,x
    lda t4
    ora #1                  ; the second half of the tiles
    bit t5
    bvs @flipped
    sta oam+1,x
    ora #2
    sta oam+5,x
    bne @halves
@flipped:
    sta oam+5,x
    ora #2
    sta oam+1,x
@halves:
    ; A half beside the picture is hidden.
    lda t0
    sta oam+3,x
    clc
    adc #8
    sta oam+7,x
    lda t1
    adc #0
    beq @right
    lda #$FF
    sta oam+4,x
@right:
    lda t1
    beq @done
    lda #$FF
    sta oam,x
@done:
    rts

; Hides the picture at X.
object_hide:
    lda #$FF
    sta oam,x
    sta oam+4,x
    rts

; The coin that jumps out of a block.
pop_update:
    lda pop_time
    beq @done
    dec pop_time
    dec pop_y
    dec pop_y
@done:
    rts

pop_draw:
    ldx #OAM_POP
    lda pop_time
    beq object_hide
    lda pop_x
    sta t0
    lda #0
    sta t1
    lda pop_y
    sta t2
    lda #S_COIN * 4
    sta t4
    lda #3
    sta t5
    jmp object_draw

; The flag's cloth, left of its pole.
flag_draw:
    lda #<(FLAG_COLUMN * 16 - 8)
    sec
    sbc cam
    sta t0
    lda #>(FLAG_COLUMN * 16 - 8)
    sbc cam+1
    sta t1
    ldx #OAM_FLAG
    cmp #1
    bcs object_hide
    lda flag_y
    sta t2
    lda #S_FLAG * 4
    sta t4
    lda #3
    sta t5
    jmp object_draw

; The hero touches the pole.
flag_begin:
    lda #<FLAG_X
    sta x_pos
    lda #>FLAG_X
    sta page
    lda #AT_FLAG
    sta state
    lda #FLAG
    sta kind + ENEMIES - 1
    lda #3
    sta float
    lda #90
    sta wait
    ; The higher, the more points.
    lda #14 * 16
    sec
    sbc y_pos
    lsr a
    lsr a
    lsr a
    lsr a
    ldx #2
    jmp score_add

; The hero and the flag slide down; then the next level begins.
flag_update:
    lda y_pos
    cmp #(15 - GROUND) * 16 - 16
    bcs @flag
    inc y_pos
    inc y_pos
    lda y_pos
    cmp #(15 - GROUND) * 16 - 16
    bcc @flag
    lda #(15 - GROUND) * 16 - 16
    sta y_pos
@flag:
    lda flag_y
    cmp #10 * 16
    bcs @draw
    inc flag_y
    inc flag_y
@draw:
    jsr hero_draw
    jsr flag_draw
    dec wait
    bne @done
    inc level
    ldx #0
@seed:
    inc level_seed,x
    bne @begin
    inx
    cpx #4
    bne @seed
@begin:
    jmp level_begin
@done:
    rts

; The hero dies: it hops and falls, or is below already; then another life.
death_update:
    lda wait
    cmp #50
    bcs @still              ; a moment of horror
    lda viewport
    cmp #2
    beq @still
    lda wait
    cmp #38
    bcs @up
    lda y_pos
    clc
    adc #4
    cmp #240
    bcs @still
    sta y_pos
    bne @still
@up:
    dec y_pos
    dec y_pos
@still:
    jsr hero_draw
    lda #S_DEAD * 4 + 1
    sta oam + OAM_HERO + 1
    ora #2
    sta oam + OAM_HERO + 5
    lda #0
    sta oam + OAM_HERO + 2
    sta oam + OAM_HERO + 6
    lda viewport
    cmp #2
    bne @wait
    ldx #OAM_HERO
    jsr object_hide
@wait:
    dec wait
    bne @done
    dec lives
    bmi @over
    jmp level_begin
@over:
    jmp title_load
@done:
    rts

; Makes the level of `level_seed`, draws its beginning and starts it.
level_begin:
    jsr screen_off
    jsr level_make
    jsr hero_begin
    jsr screen_load
    lda #1
    sta mode
    jsr camera_update
    jsr hero_draw
    jsr flag_draw
    jmp screen_on
