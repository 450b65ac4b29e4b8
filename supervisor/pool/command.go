package pool

import "cmp"

func (p *Pool) start() {
	switch p.phase {
	case idle:
		p.phase = running
	case running:
		p.impossible(nil, "start: started already")
	case stopping, killing:
		p.ignore("start")
	}
}

func (p *Pool) scale(n int) {
	n = clamp(n, 0, MaxSlots)
	switch p.phase {
	case idle, running:
		if n == p.want {
			return
		}
		p.want = n
		p.record(Record{Kind: KindScaled, Slots: n})
	case stopping, killing:
		p.ignore("scale")
	}
}

func (p *Pool) roll(reason string, back bool) {
	reason = cmp.Or(reason, "rollout")
	switch p.phase {
	case idle:
		p.record(Record{Kind: KindIgnored, Reason: "roll: not started"})
	case running:
		// Ten wishes during a rollout are one: what it would take from disk is the same. To go back is another one.
		if p.queued == "" || p.queuedBack != back {
			p.queued, p.queuedBack = reason, back
			if p.rollout.active() {
				p.record(Record{Kind: KindRolloutQueued, Reason: reason})
			}
		}
	case stopping, killing:
		p.ignore("roll")
	}
}

func (p *Pool) reconfigure(cfg Config) {
	switch p.phase {
	case idle, running:
		cfg.FirstID, cfg.FirstGeneration, cfg.Seed = p.cfg.FirstID, p.cfg.FirstGeneration, p.cfg.Seed
		p.cfg = cfg.normal()
		p.record(Record{Kind: KindReconfigured})
		p.scale(p.cfg.Workers)
	case stopping, killing:
		p.ignore("reconfigure")
	}
}

func (p *Pool) stop(reason string) {
	switch p.phase {
	case idle, running:
		p.phase, p.why = stopping, cmp.Or(reason, "stop")
		p.record(Record{Kind: KindStopping, Reason: p.why})
		p.shorten()
	case stopping:
		p.kill("")
	case killing:
		p.ignore("stop")
	}
}

func (p *Pool) kill(reason string) {
	switch p.phase {
	case idle, running, stopping:
		p.phase, p.why = killing, cmp.Or(reason, "stop at once")
		p.record(Record{Kind: KindStopping, Reason: p.why})
	case killing:
		p.ignore("kill")
	}
}

func (p *Pool) ignore(command string) {
	p.record(Record{Kind: KindIgnored, Reason: command + ": " + p.phase.String()})
}
