// Places in included files and in macros.
#include "folder/outer.p4"
#define WIDTH 8
#define ADD(x, y) ((x) + \
                   (y))
const bit<WIDTH> a = ADD(WIDTH, true);
const bit<8> b = ADD(16w1,
	8w2) + 1;
const string s = "表示" ++ 4;
