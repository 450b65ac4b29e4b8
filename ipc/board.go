package ipc

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The board's format. A change of any of these, or of Header, Line or Row, is a new BoardVersion.
const (
	BoardMagic   = 0x6472622e656e6974 // the bytes "tine.brd" where the lowest comes first
	BoardVersion = 2

	MaxSlots  = 1024 // slots of a board
	Seats     = 2    // seats of a slot: in a surge it has two workers
	TableSize = 4096 // entries of the table

	TableOffset = 4096
	LinesOffset = 16384
	LineBytes   = 64
	BoardBytes  = LinesOffset + MaxSlots*LineBytes   // of the hot memory
	RowsBytes   = MaxSlots * Seats * int64(RowBytes) // of the cold memory
)

// Header is the start of the hot memory. Magic, Version and Slots are written once, by the master when it makes the board.
type Header struct {
	Magic   uint64
	Version uint64
	Slots   uint64 // lines that the memory has: MaxSlots

	Picked     atomic.Uint64 // kernel: connections for which it picked a slot
	Refused    atomic.Uint64 // kernel: connections refused because all slots were full
	Last       atomic.Uint64 // kernel: slot picked last: the next search among equals begins after it
	Full       atomic.Uint64 // master: busy connections at which a slot is full; 0: never
	StaleAfter atomic.Uint64 // master: ns that a connection may wait for accept before the kernel avoids the slot; 0: never
	_          [8]uint64

	// Asleep is on a line of the cache that is only read while there is load. A worker reads it after it has counted a
	// connection in Line.Accepted, and the master writes it before it reads what was counted: one of them sees the other.
	Asleep atomic.Int64 // master: Monotonic of when it went to rest, to be told of the next connection by Wake; 0: it is awake
	_      [7]uint64
}

// Board is the scoreboard of one app: hot memory, which the kernel reads for each connection, and rows, which only the workers
// write. The package's documentation has the layout. What the accessors return points into memory that is shared by all
// processes and may be used from any goroutine until Close.
type Board struct {
	hot, rows         []byte
	hotFile, rowsFile *os.File // the master's; nil in workers
}

// NewBoard makes a board in two new memory files (files without a name where the system has none).
func NewBoard() (*Board, error) {
	hot, err := NewMemory("board", BoardBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot make a board: lines: %w", err)
	}
	return newBoard(hot)
}

// NewBoardOn makes a board whose hot memory is given: an eBPF map of one entry of BoardBytes or more that can be mapped, or a
// memory file of BoardBytes. It duplicates the descriptor and writes the header; counters keep what they have. The rows
// are a new memory file. The memory lives on when the map's last program has gone.
func NewBoardOn(hot *os.File) (*Board, error) {
	f, err := Duplicate(hot)
	if err != nil {
		return nil, fmt.Errorf("cannot make a board: duplicate %s: %w", hot.Name(), err)
	}
	return newBoard(f)
}

// newBoard owns hot.
func newBoard(hot *os.File) (*Board, error) {
	rows, err := NewMemory("board", RowsBytes)
	if err != nil {
		hot.Close()
		return nil, fmt.Errorf("cannot make a board: rows: %w", err)
	}
	b := &Board{hotFile: hot, rowsFile: rows}
	if err := b.mapFiles(hot, rows); err != nil {
		b.Close()
		return nil, fmt.Errorf("cannot make a board: %w", err)
	}
	b.Stamp()
	return b, nil
}

// Stamp writes the head's Magic, Version and Slots, which any worker may have overwritten: the next one that opens the board
// would refuse it. The master only, from one goroutine at a time.
func (b *Board) Stamp() {
	h := b.Header()
	h.Magic, h.Version, h.Slots = BoardMagic, BoardVersion, MaxSlots
}

// OpenBoard maps a board that another process made. It owns both files from the call on, and closes them, also when it
// fails: the memory stays mapped until Close. It refuses what is not a board of this BoardVersion, and what could shrink
// while it is in use.
func OpenBoard(hot, rows *os.File) (*Board, error) {
	defer hot.Close()
	defer rows.Close()
	b := &Board{}
	err := b.mapFiles(hot, rows)
	if err == nil {
		err = b.Header().check()
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("cannot open board: %w", err)
	}
	return b, nil
}

// AdoptBoard takes a board over that another master has made, from its Files, of this BoardVersion: the process that has kept the files
// knows. Everything in it stays as it is, and nothing is read: workers can write all of it, its header too, see
// [Board.Stamp]. It owns both files.
func AdoptBoard(hot, rows *os.File) (*Board, error) {
	b := &Board{hotFile: hot, rowsFile: rows}
	if err := b.mapFiles(hot, rows); err != nil {
		b.Close()
		return nil, fmt.Errorf("cannot adopt board: %w", err)
	}
	return b, nil
}

func (h *Header) check() error {
	switch {
	case h.Magic != BoardMagic:
		return fmt.Errorf("magic number is %#x, %#x is needed", h.Magic, uint64(BoardMagic))
	case h.Version != BoardVersion:
		return fmt.Errorf("version is %d, %d is needed", h.Version, BoardVersion)
	case h.Slots != MaxSlots:
		return fmt.Errorf("it has %d slots, %d are needed", h.Slots, MaxSlots)
	}
	return nil
}

func (b *Board) mapFiles(hot, rows *os.File) (err error) {
	if b.hot, err = mapMemory(hot, BoardBytes, true); err != nil {
		return fmt.Errorf("lines: %w", err)
	}
	if b.rows, err = mapMemory(rows, RowsBytes, false); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	return nil
}

// Files are the files of the two memories, which AdoptBoard takes. They stay the board's; nil in a process that has opened it.
func (b *Board) Files() (hot, rows *os.File) { return b.hotFile, b.rowsFile }

// Share returns duplicates of the files of the two memories, for Assign. They are the caller's. Only the process that made
// the board has them. The head is stamped before, for the process that gets them.
func (b *Board) Share() (hot, rows *os.File, err error) {
	if b.hotFile == nil {
		return nil, nil, errors.New("cannot share board: it was opened, not made, here, or is closed")
	}
	b.Stamp()
	if hot, err = Duplicate(b.hotFile); err == nil {
		if rows, err = Duplicate(b.rowsFile); err == nil {
			return hot, rows, nil
		}
		hot.Close()
	}
	return nil, nil, fmt.Errorf("cannot share board: %w", err)
}

// Header returns the head of the hot memory.
func (b *Board) Header() *Header { return (*Header)(unsafe.Pointer(&b.hot[0])) }

// Line returns the line of a slot. A slot outside 0 to MaxSlots-1 panics.
func (b *Board) Line(slot int) *Line {
	return &(*[MaxSlots]Line)(unsafe.Pointer(&b.hot[LinesOffset]))[slot]
}

// Row returns the row of a seat. Its memory is taken when it is first read or written, so leave alone what is not in use. A slot
// outside 0 to MaxSlots-1, or a seat outside 0 to Seats-1, panics.
func (b *Board) Row(slot, seat int) *Row {
	return &(*[MaxSlots][Seats]Row)(unsafe.Pointer(&b.rows[0]))[slot][seat]
}

// SetTable stores the slot for index i, 0 to TableSize-1. The master only, from one goroutine at a time.
//
// The kernel may read the entry at the same moment. A store of 2 aligned bytes is one access on all processors that Go runs on,
// so it sees the old entry or the new one; entries are independent, so their order does not matter.
func (b *Board) SetTable(i int, slot uint16) { b.table()[i] = slot }

// TableAt returns entry i of the table. It may not run while another goroutine is in SetTable.
func (b *Board) TableAt(i int) uint16 { return b.table()[i] }

func (b *Board) table() *[TableSize]uint16 {
	return (*[TableSize]uint16)(unsafe.Pointer(&b.hot[TableOffset]))
}

// Close unmaps the memory, for this process only, and closes the files. Nothing that the accessors returned may be used any
// more, so the caller first ends all that does: a use after it kills the process. Calling it again does nothing.
func (b *Board) Close() error {
	var errs []error
	for _, m := range []*[]byte{&b.hot, &b.rows} {
		if *m != nil {
			errs = append(errs, unix.Munmap(*m))
			*m = nil
		}
	}
	for _, f := range []**os.File{&b.hotFile, &b.rowsFile} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot close board: %w", err)
	}
	return nil
}
