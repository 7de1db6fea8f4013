const bit<8> inner = "text";
