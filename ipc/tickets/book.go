package tickets

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// Book is the tickets of one app. All methods but Close may be called from any goroutine, in any number of processes at once.
type Book struct {
	memory []byte
	file   *os.File // the master's; nil where it was opened
	slots  [Slots]Slot
}

// Create makes a book in a new memory file (a file without a name where the system has none).
func Create() (*Book, error) {
	f, err := ipc.NewMemory("tickets", Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot make a book of tickets: %w", err)
	}
	return Adopt(f)
}

// Adopt takes over a book that another master has made, of this Version: the process that has kept the file knows. Nothing in it is
// trusted, as workers can write all of it; magic and version are written anew. It owns f, also when it fails.
func Adopt(f *os.File) (*Book, error) {
	b, err := mapped(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot adopt a book of tickets: %w", err)
	}
	b.file = f
	b.stamp()
	return b, nil
}

// Open maps a book that another process made. It owns f, and closes it: the memory stays mapped until Close. It refuses what is not a book
// of this Version, and what could shrink while it is in use.
func Open(f *os.File) (*Book, error) {
	defer f.Close()
	b, err := mapped(f)
	if err != nil {
		return nil, fmt.Errorf("cannot open a book of tickets: %w", err)
	}
	switch h := b.head(); {
	case h.magic != Magic:
		err = fmt.Errorf("magic number is %#x, %#x is needed", h.magic, uint64(Magic))
	case h.version != Version:
		err = fmt.Errorf("version is %d, %d is needed", h.version, Version)
	default:
		return b, nil
	}
	return nil, errors.Join(fmt.Errorf("cannot open a book of tickets: %w", err), b.Close())
}

func mapped(f *os.File) (*Book, error) {
	memory, err := ipc.MapMemory(f, Bytes)
	if err != nil {
		return nil, err
	}
	b := &Book{memory: memory}
	for i := range b.slots {
		b.slots[i] = Slot{
			book: b, index: i,
			header: (*header)(unsafe.Pointer(&memory[headersOffset+i*headerBytes])),
			rows:   (*rows)(unsafe.Pointer(&memory[rowsOffset+i*Rows*8])),
		}
	}
	return b, nil
}

func (b *Book) head() *head { return (*head)(unsafe.Pointer(&b.memory[0])) }

// stamp writes what the next process that opens the book looks at.
func (b *Book) stamp() { b.head().magic, b.head().version = Magic, Version }

// File is the file of the memory, which Adopt takes. It stays the book's; nil in a process that has opened it.
func (b *Book) File() *os.File { return b.file }

// Share returns a duplicate of the file, for another process to open. It is the caller's. Only the master may share, from one goroutine at
// a time.
func (b *Book) Share() (*os.File, error) {
	if b.file == nil {
		return nil, errors.New("cannot share a book of tickets: it was opened, not made, here, or is closed")
	}
	b.stamp()
	f, err := ipc.Duplicate(b.file)
	if err != nil {
		return nil, fmt.Errorf("cannot share a book of tickets: %w", err)
	}
	return f, nil
}

// Slot is one of the book's slots, 0 to Slots-1; nil: there is no such slot.
func (b *Book) Slot(i int) *Slot {
	if i < 0 || i >= Slots {
		return nil
	}
	return &b.slots[i]
}

// used are the slots that have ever had a ticket or a worker with tickets, and perhaps some more.
func (b *Book) used() []Slot { return b.slots[:min(b.head().used.Load(), Slots)] }

// Close unmaps the memory, for this process only, and closes the file. Nothing of the book may be used any more, so the caller first ends
// all that does: a use after it kills the process. Calling it again does nothing.
func (b *Book) Close() error {
	var errs []error
	if b.memory != nil {
		errs = append(errs, unix.Munmap(b.memory))
		b.memory = nil
	}
	if b.file != nil {
		errs = append(errs, b.file.Close())
		b.file = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot close a book of tickets: %w", err)
	}
	return nil
}
