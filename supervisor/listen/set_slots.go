package listen

import (
	"fmt"
	"os"
	"slices"

	"github.com/tinehq/tine/ipc"
)

// OpenSlot opens the sockets of the next slot; for one that is open it does nothing. A slot beside others gets no new
// connection before a Steer admits it.
func (s *Set) OpenSlot(slot int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("cannot open slot %d: %w", slot, errClosed)
	case slot > s.slots && s.blocked != nil:
		return fmt.Errorf("cannot open slot %d: it waits for slot %d: %w", slot, s.slots, s.blocked)
	case slot < 0 || slot > s.slots:
		return fmt.Errorf("cannot open slot %d: the next is %d", slot, s.slots)
	case slot < s.slots:
		return nil
	case slot >= ipc.MaxSlots:
		return fmt.Errorf("cannot open slot %d: there can be %d", slot, ipc.MaxSlots)
	}
	s.hear()
	if s.blocked = s.open(); s.blocked != nil {
		return fmt.Errorf("cannot open slot %d: %w", slot, s.blocked)
	}
	return nil
}

// CloseSlot closes the sockets of the last slot, with every connection that waits in their queues unless a worker still
// holds a duplicate. Closing slot 0 gives up the addresses until OpenSlot takes them again.
func (s *Set) CloseSlot(slot int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("cannot close slot %d: %w", slot, errClosed)
	}
	if slot != s.slots-1 || slot < 0 {
		return fmt.Errorf("cannot close slot %d: the last of %d is to be closed first", slot, s.slots)
	}
	if s.slots > 1 && slices.Contains(s.admitted, slot) {
		// The kernel numbers the sockets of a group: a program must not name one that is not there.
		rest := slices.DeleteFunc(slices.Clone(s.admitted), func(n int) bool { return n == slot })
		if len(rest) == 0 {
			rest = first(slot)
		}
		s.admit(rest)
	}
	for i := range s.groups {
		s.closeSocket(i, slot)
	}
	if s.inner != nil {
		s.inner.closeInner(slot)
	}
	s.slots--
	s.changes++
	s.admitted = slices.DeleteFunc(s.admitted, func(n int) bool { return n >= s.slots })
	s.try(s.steer) // the number of slots counts in some programs
	s.tell()
	return nil
}

// files are the sockets of a slot, one for each address; none for a slot that is not open. They are not in the runtime's
// poller, so that connections do not wake this process.
func (s *Set) files(slot int) (ls []ipc.Listener, fs []*os.File) {
	if slot < 0 || slot >= s.slots {
		return nil, nil
	}
	for _, g := range s.groups {
		ls = append(ls, ipc.Listener{Network: g.address.Network, Address: g.address.Addr})
		fs = append(fs, g.socket(slot))
	}
	return ls, fs
}

// Share gives duplicates of the sockets of a slot, one for each address. They are the caller's, to give away with a frame
// that takes its files over, and are not in the runtime's poller, so that connections do not wake this process. What the
// worker before may have changed of them is as it was at first. A socket that listens no more is an error: see [Set.Mend].
func (s *Set) Share(slot int) ([]ipc.Listener, []*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ls, files := s.files(slot)
	if ls == nil && len(s.groups) > 0 {
		return nil, nil, fmt.Errorf("cannot share the sockets of slot %d: it is not open", slot)
	}
	var dups []*os.File
	for _, f := range files {
		d, err := shareOne(f)
		if err != nil {
			for _, d := range dups {
				d.Close()
			}
			return nil, nil, fmt.Errorf("cannot share the sockets of slot %d: %w", slot, err)
		}
		dups = append(dups, d)
	}
	return ls, dups, nil
}

// shareOne duplicates a socket for the next worker.
func shareOne(f *os.File) (*os.File, error) {
	d, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	if err := ipc.Control(d, freshen); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}
