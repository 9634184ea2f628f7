// Every header in a translation unit of its own is linked into this program: a symbol defined twice shows.
int main()
{
}
