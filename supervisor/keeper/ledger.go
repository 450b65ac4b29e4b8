package keeper

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// maxNames bounds what all names take in LISTEN_FDNAMES: the kernel starts no program with a variable of 128 KiB
// (MAX_ARG_STRLEN), and then no master could ever be started again.
const maxNames = 100 << 10

// ledger makes of systemd's store what the keeper's is. systemd returns the files of one name in any order: so each has a
// name of its own there, the first of a name that name, the next one NAME#1. It does not tell which files it had no room
// for, and knows no bound for the names: so they are counted here.
type ledger struct {
	limit int // of files; 0: it is not known

	mu    sync.Mutex
	count map[string]int // of files, by name
	files int
	names int // bytes, a colon for each included

	refused refusals
}

// unknownFiles is how many files of a name are taken out whose number this process does not know, because a master before
// it in an upgrade has stored them: those of a worker.
const unknownFiles = 4

// add makes room for n more files of the name, of which the first is number k.
func (l *ledger) add(name string, n int) (k int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, err = l.fit(name, n); err != nil {
		l.refused.add(name)
	} else {
		l.refused.remove(name)
	}
	return k, err
}

func (l *ledger) room() Room {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Room{Files: l.files, MaxFiles: l.limit, Names: l.names, MaxNames: maxNames}
	l.refused.tell(&r)
	return r
}

func (l *ledger) fit(name string, n int) (k int, err error) {
	k = l.count[name]
	bytes := 0
	for i := range n {
		bytes += len(numbered(name, k+i)) + 1
	}
	if l.limit > 0 && l.files+n > l.limit {
		return 0, fmt.Errorf("cannot store %s: %d more files beside %d would be too many: %d is the most (FileDescriptorStoreMax): %w", name, n, l.files, l.limit, ErrFull)
	}
	if l.names+bytes > maxNames {
		return 0, fmt.Errorf("cannot store %s: the names would take %d bytes, and %d is the most: %w", name, l.names+bytes, maxNames, ErrFull)
	}
	l.put(name, k+n)
	return k, nil
}

// remove forgets a name and returns how many files of it there may be.
func (l *ledger) remove(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused.remove(name)
	n, known := l.count[name]
	if !known {
		return unknownFiles
	}
	l.put(name, 0)
	return n
}

// put sets how many files of a name there are.
func (l *ledger) put(name string, n int) {
	for k := l.count[name]; k < n; k++ {
		l.files, l.names = l.files+1, l.names+len(numbered(name, k))+1
	}
	for k := l.count[name]; k > n; k-- {
		l.files, l.names = l.files-1, l.names-len(numbered(name, k-1))-1
	}
	if l.count == nil {
		l.count = map[string]int{}
	}
	l.count[name] = n
	if n == 0 {
		delete(l.count, name)
	}
}

// numbered is the name of file k of a name.
func numbered(name string, k int) string {
	if k == 0 {
		return name
	}
	return name + "#" + strconv.Itoa(k)
}

// number is the opposite of numbered.
func number(text string) (name string, k int) {
	if i := strings.LastIndexByte(text, '#'); i > 0 {
		if k, err := strconv.Atoi(text[i+1:]); err == nil && k > 0 && numbered(text[:i], k) == text {
			return text[:i], k
		}
	}
	return text, 0
}

// Held tells the client what is stored already, as Inherited returned it, so that it counts all of it. It takes no part of
// the files.
func (c *Client) Held(files map[string][]*os.File) {
	if c == nil || c.ledger == nil {
		return
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	for name, all := range files {
		c.ledger.put(name, len(all))
	}
}
