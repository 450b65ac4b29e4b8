package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// play is what the test binary does as a child. It never returns.
func play(role string) {
	switch role {
	case "fds":
		printFDs()
	case "env":
		for _, kv := range os.Environ() {
			fmt.Println(kv)
		}
	case "flood":
		flood()
	case "nofile":
		lackFiles()
	case "nproc":
		lackProcesses()
	case "hold":
		fmt.Println("holding")
		select {}
	case "panic":
		panic("the reason\nand more of it")
	case "crash":
		fmt.Fprintln(os.Stderr, "before")
		var p *int
		fmt.Println(*p)
	case "signals":
		printSignals()
	case "inherit":
		inherit()
	case "fill":
		fill()
	case "threads":
		makeThreads()
	case "foster":
		foster()
	case "count":
		countLines()
	case "copy":
		adoptAndCopy()
	case "debug":
		hold()
	default:
		fmt.Println("unknown role", role)
		os.Exit(99)
	}
	os.Exit(0)
}

func printFDs() {
	// Not inherited, but this runtime's own: the folder being read, the poller, and the CPU limit that it watches.
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, e := range entries {
		link, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.Contains(link, "anon_inode:") || strings.HasSuffix(link, "/fd") || strings.HasPrefix(link, "/sys/fs/cgroup/") {
			continue
		}
		fmt.Println("fd", e.Name(), link)
	}
}

func flood() {
	line := append(bytes.Repeat([]byte("x"), 99), '\n')
	block := bytes.Repeat(line, 1000)
	w := bufio.NewWriterSize(os.Stdout, 256<<10)
	megabytes, err := strconv.Atoi(os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	for range megabytes * 10 {
		if _, err := w.Write(block); err != nil {
			os.Exit(1)
		}
	}
	w.Flush()
}

func printSignals() {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		os.Exit(1)
	}
	fmt.Print(string(text))
	fmt.Println("ignored SIGHUP:", signal.Ignored(syscall.SIGHUP))
}

// inherit has a descriptor without close-on-exec, as one that a shell passed on, and starts a process.
func inherit() {
	fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0)
	check(err)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	check(err)
	exe, err := os.Executable()
	check(err)
	var mu sync.Mutex
	p, err := Start(Command{Path: exe, Args: []string{exe}, Env: []string{roleKey + "=fds"}}, Options{Stdout: func(l []byte, _ bool) {
		mu.Lock()
		fmt.Printf("%s\n", l)
		mu.Unlock()
	}})
	check(err)
	p.Exit()
	<-p.OutputDone()
	mu.Lock()
}

// lackFiles shows Start under a limit of descriptors that is reached, and that it works again afterwards.
func lackFiles() {
	check(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 40, Max: 40}))
	var held []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		held = append(held, f)
	}
	discard := func([]byte, bool) {}
	for free := range 7 { // fails at a different step each time
		for range min(free, 1) {
			held[len(held)-1].Close()
			held = held[:len(held)-1]
		}
		before := countFDs()
		p, err := Start(Command{Path: "/bin/true", Args: []string{"true"}}, Options{Stdout: discard, Stderr: discard})
		if err == nil {
			p.Exit()
			<-p.OutputDone()
			if free < 5 {
				fmt.Println("started with", free, "descriptors free")
				os.Exit(1)
			}
			continue
		}
		var limit *LimitError
		if !errors.As(err, &limit) || limit.Limit != "RLIMIT_NOFILE" || limit.Value != "40" || !errors.Is(err, syscall.EMFILE) {
			fmt.Println("wrong error:", err)
			os.Exit(1)
		}
		if after := countFDs(); after != before {
			fmt.Println("a failed start has left descriptors:", before, after)
			os.Exit(1)
		}
		fmt.Println(err)
	}
	for _, f := range held {
		f.Close()
	}
	p, err := Start(Command{Path: "/bin/true", Args: []string{"true"}}, Options{Stdout: discard, Stderr: discard})
	check(err)
	if e := p.Exit(); e.Code != 0 || e.Signal != 0 {
		fmt.Println("wrong exit:", e)
		os.Exit(1)
	}
	<-p.OutputDone()
}

// countFDs needs no descriptor.
func countFDs() (n int) {
	for fd := range 64 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// lackProcesses shows Start under a limit of processes that is reached. The runtime cannot make a thread then either,
// and ends the process if it must: so there are enough beforehand.
func lackProcesses() {
	debug.SetGCPercent(-1)
	var threads sync.WaitGroup
	locked, enough := make(chan struct{}), make(chan struct{})
	for range 8 {
		threads.Go(func() {
			runtime.LockOSThread() // a thread of its own, which stays afterwards
			defer runtime.UnlockOSThread()
			locked <- struct{}{}
			<-enough
		})
	}
	for range 8 {
		<-locked
	}
	close(enough)
	threads.Wait()
	var old unix.Rlimit
	check(unix.Getrlimit(unix.RLIMIT_NPROC, &old))
	check(unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: old.Max}))
	_, err := Start(Command{Path: "/bin/true", Args: []string{"true"}}, Options{})
	check(unix.Setrlimit(unix.RLIMIT_NPROC, &old))
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != "RLIMIT_NPROC" || limit.Value != "1" || !errors.Is(err, syscall.EAGAIN) {
		fmt.Println("wrong error:", err)
		os.Exit(1)
	}
	fmt.Println(err)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// fill holds os.Args[1] MiB of memory that it has written to: not of the heap, of which the race detector keeps more.
func fill() {
	megabytes, err := strconv.Atoi(os.Args[1])
	check(err)
	if megabytes > 0 {
		b, err := unix.Mmap(-1, 0, megabytes<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		check(err)
		for i := 0; i < len(b); i += 512 {
			b[i] = 1
		}
	}
	fmt.Println("filled", megabytes)
	select {}
}

// makeThreads makes threads until descriptor 3 ends, at most 500, and then a few more.
func makeThreads() {
	forever := make(chan struct{})
	made := func(n int) {
		for range n {
			up := make(chan struct{})
			go func() {
				runtime.LockOSThread()
				close(up)
				<-forever
			}()
			<-up
		}
	}
	ended := make(chan struct{})
	go func() {
		os.NewFile(3, "end").Read(make([]byte, 1))
		close(ended)
	}()
	made(20)
	fmt.Println("some")
	for range 480 {
		select {
		case <-ended:
		default:
			made(1)
		}
	}
	<-ended
	made(5)
	fmt.Println("all")
	<-forever
}
