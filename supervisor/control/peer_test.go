package control

const strangerPath = "TINE_TEST_STRANGER"

func stranger() {}
