package tickets

func child(string) {}
