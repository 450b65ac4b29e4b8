package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// preflightTimeout bounds each of the two programs that are run before an upgrade. Tests shorten it.
var preflightTimeout = 10 * time.Second

// maxPreflight is how much of their output is read, in bytes.
const maxPreflight = 64 << 10

// preflight checks that binary is a tine that can follow this master: it prints its version, and accepts the command line of
// this process. A new master takes over the config that runs, so that the file on disk is not read; a binary of a version
// without --check for that reads it. All processes that preflight starts have ended when it returns.
func preflight(ctx context.Context, binary string) (version string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot upgrade to %s: %w", binary, err)
		}
	}()
	info, err := os.Stat(binary)
	var path *os.PathError
	switch {
	case os.Getpid() == 1:
		return "", errors.New("this master is PID 1, with whose end all others end: that takes a keeper, --keeper=auto")
	case errors.As(err, &path):
		return "", path.Err // the message has the path already
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("it is not a file")
	case unix.Access(binary, unix.X_OK) != nil:
		return "", errors.New("it is not executable")
	}
	const is = "tine version "
	out, err := try(ctx, binary, "--version")
	version, ok := strings.CutPrefix(out, is)
	switch {
	case err != nil:
		return "", fmt.Errorf("it does not tell its version: %w", err)
	case !ok:
		return "", fmt.Errorf("it is not a tine: asked for its version it says %q", firstLine(out))
	}
	if _, err := try(ctx, binary, checkArgs(os.Args[1:])...); err != nil {
		return "", fmt.Errorf("it does not take the config: %w", err)
	}
	return firstLine(version), nil
}

// checkArgs returns the arguments that check a config, for a master with args.
func checkArgs(args []string) []string {
	if i := slices.Index(args, "run"); i >= 0 {
		return slices.Insert(slices.Clone(args), i+1, "--check")
	}
	return append([]string{"run", "--check"}, args...)
}

// try runs a program within preflightTimeout, and kills its process group at the end. The error has the reason that it printed.
func try(ctx context.Context, binary string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, preflightTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), envCheck+"=1")
	out, stderr := &head{}, &head{}
	cmd.Stdout, cmd.Stderr = out, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // one of its children may hold the pipe
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the children that it has left
	}
	var exit *exec.ExitError
	var path *os.PathError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("no end within %s", preflightTimeout)
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &path):
		return "", path.Err
	case errors.As(err, &exit) && stderr.Len() > 0:
		return "", errors.New(whatFor(stderr.String()))
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", err
	}
	return out.String(), nil
}

// head keeps the first maxPreflight bytes that are written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), maxPreflight-h.Len())])
	return len(p), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line[:min(len(line), 200)]
}

// whatFor returns the line of text that says why a program ended: the line of a tine, without the part of a config file below
// it, else the last line.
func whatFor(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if reason, ok := strings.CutPrefix(line, "tine: "); ok {
			return firstLine(reason)
		}
	}
	return firstLine(lines[len(lines)-1])
}
