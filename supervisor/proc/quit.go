package proc

import "time"

// Quit leaves the process to the one that adopts it from what [Process.Leave] has returned before. It reads no more, and what
// it has not delivered stays in the pipes; what it has is written and taken out of them when it returns. From then on no
// LineFunc is called. It waits for a LineFunc and a WrittenFunc that are at work, and as long as they do: a caller that cannot
// wait so long calls it in a goroutine of its own; lines may then come twice, but none is lost. Where lines are taken out
// when they are read it delivers what it has, of the last line perhaps a part.
//
// The process is not touched. Its exit is not heard of any more, signals and Leave fail, and Exited and OutputDone
// are not closed, unless the exit has been noticed before. The goroutines end; without a pidfd (before Linux 5.4) the one
// that waits for the exit does not. More calls do nothing but wait.
func (p *Process) Quit() {
	p.mu.Lock()
	if !p.quits() {
		close(p.left)
		for _, r := range p.readers {
			if r != nil {
				r.Wake()
			}
		}
		if p.pidfd != nil && !p.reaped {
			_ = p.pidfd.SetReadDeadline(time.Unix(1, 0))
		}
	}
	blind := p.pidfd == nil
	p.mu.Unlock()
	<-p.drained
	if !blind {
		<-p.over
	}
}

// Abandoned is closed when Quit came before the exit: Exited is never closed then. With a pidfd one of the two is closed
// when Quit returns.
func (p *Process) Abandoned() <-chan struct{} { return p.gone }

// quits reports whether the process was left to another.
func (p *Process) quits() bool {
	select {
	case <-p.left:
		return true
	default:
		return false
	}
}
