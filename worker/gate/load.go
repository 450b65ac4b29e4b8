package gate

// byLoad is what one more request costs a member: its requests in flight, for its weight.
func byLoad(m *member) float64 { return (m.load() + 1) / m.Weight }

// byLatency is that times how long it takes. Where no member is known, all take the same.
func byLatency(m *member) float64 {
	if m.unknown {
		return byLoad(m)
	}
	return m.latency * byLoad(m)
}

// ofTwo is the better of two that are drawn by weight. As the draw honours weights already, each is judged by what its own share
// makes of its load.
func (s *snapshot) ofTwo(p *Picker, r *Request, cost func(*member) float64) *member {
	var a *member
	for range draws {
		m := s.draw.one(s.usable, p.options.Rand())
		if m == nil || m == a || !s.may(m, r) {
			continue
		}
		if a == nil {
			a = m
			continue
		}
		if cost(m) < cost(a) {
			return m
		}
		return a
	}
	if a != nil && len(s.usable) == 1 {
		return a
	}
	return s.best(p, r, cost) // few have room, or one has nearly all the weight
}

// prequal takes the member of the lowest latency of those that are not hot, and else that of the lowest load. A member is hot if its
// load is above a quantile of those that are looked at. The paper has latency from probes that are answered at the load of the moment.
// Here it is that of requests which were sent some time ago, so that it is multiplied by the load of now.
func (s *snapshot) prequal(p *Picker, r *Request) *member {
	n := uint64(len(s.usable))
	if n == 0 {
		return nil
	}
	from, looks := (p.options.Rand()>>32)*n>>32, min(n, pool)
	var loads [pool]float64
	for i := range looks {
		load, at := byLoad(s.usable[(from+i)%n]), i
		for ; at > 0 && loads[at-1] > load; at-- {
			loads[at] = loads[at-1]
		}
		loads[at] = load
	}
	hot := loads[min(uint64(p.options.Hot*float64(looks)), looks-1)]
	cost := func(m *member) float64 {
		if load := byLoad(m); load > hot || m.unknown {
			return hottest * load
		}
		return byLatency(m)
	}
	if m := s.bestFrom(p, r, from, looks, cost); m != nil {
		return m
	}
	return s.best(p, r, cost)
}

// hottest times any load is above the cost of any member that is cold, in nanoseconds.
const hottest = 1e24
